"""Predictors of float networks, and the prediction stage for recordings of any length."""

from typing import TYPE_CHECKING

from keras_mtl.core.lazy import lazy

if TYPE_CHECKING:
    from keras_mtl.inference import formats
    from keras_mtl.inference.formats import FORMATS, SUFFIXES, label_tracks
    from keras_mtl.inference.network import SCENE_BATCH, network_predictor, predict_in_batches, run_predictor
    from keras_mtl.inference.overview import Overview
    from keras_mtl.inference.prediction import MOST_ROWS, Prediction, predict, recording_blocks
    from keras_mtl.inference.predictor import Predictor
    from keras_mtl.inference.windows import EventInference
else:
    __getattr__, __dir__ = lazy(__name__)

__all__ = [
    "FORMATS", "MOST_ROWS", "SCENE_BATCH", "SUFFIXES", "EventInference", "Overview", "Prediction", "Predictor",
    "formats", "label_tracks", "network_predictor", "predict", "predict_in_batches", "recording_blocks",
    "run_predictor",
]  # fmt: skip
