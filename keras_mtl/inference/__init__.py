"""Predictors of float networks, and the prediction stage for recordings of any length."""

from typing import TYPE_CHECKING

from keras_mtl.core.lazy import lazy

if TYPE_CHECKING:
    from keras_mtl.inference import formats
    from keras_mtl.inference.formats import FORMATS, SUFFIXES, label_tracks
    from keras_mtl.inference.network import SCENE_BATCH, listen_with, listen_with_run, predict_in_batches
    from keras_mtl.inference.overview import Overview
    from keras_mtl.inference.prediction import BAR_FROM_S, MOST_ROWS, Prediction, predict, require_long_enough
    from keras_mtl.inference.predictor import Listener
else:
    __getattr__, __dir__ = lazy(__name__)

__all__ = [
    "BAR_FROM_S", "FORMATS", "MOST_ROWS", "SCENE_BATCH", "SUFFIXES", "Listener", "Overview", "Prediction", "formats",
    "label_tracks", "listen_with", "listen_with_run", "predict", "predict_in_batches", "require_long_enough",
]  # fmt: skip
