"""Opens what a user names (a run folder, a `.keras` file in one, an artifact) as a predictor."""

from keras_mtl.predictors.opening import open_predictor

__all__ = ["open_predictor"]
