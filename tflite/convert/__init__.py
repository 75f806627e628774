"""The stage from a run folder to an artifact."""

from typing import TYPE_CHECKING

from keras_mtl.core.lazy import lazy

if TYPE_CHECKING:
    from keras_mtl.tflite.convert.convertible import schedule_of
    from keras_mtl.tflite.convert.stage import convert
else:
    __getattr__, __dir__ = lazy(__name__)

__all__ = ["convert", "schedule_of"]
