"""What each layer costs when it alone is quantized, and proposals of mixed precision."""

from typing import TYPE_CHECKING

from keras_mtl.core.lazy import lazy

if TYPE_CHECKING:
    from keras_mtl.tflite.sensitivity.plot import plot_sensitivity
    from keras_mtl.tflite.sensitivity.run import CLIPS, measure_run, require_float
    from keras_mtl.tflite.sensitivity.text import sensitivity_lines
else:
    __getattr__, __dir__ = lazy(__name__)

__all__ = ["CLIPS", "measure_run", "plot_sensitivity", "require_float", "sensitivity_lines"]
