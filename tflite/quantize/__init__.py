"""The stage from a float run folder to a quantized one."""

from typing import TYPE_CHECKING

from keras_mtl.core.lazy import lazy

if TYPE_CHECKING:
    from keras_mtl.tflite.quantize.network import Quantized, SelfDistillation, quantize_network
    from keras_mtl.tflite.quantize.options import ENGINES, PARTS, require_options
    from keras_mtl.tflite.quantize.predictor import qat_network, quantized_predictor
    from keras_mtl.tflite.quantize.stage import event_calibration, quantize
else:
    __getattr__, __dir__ = lazy(__name__)

__all__ = [
    "ENGINES", "PARTS", "Quantized", "SelfDistillation", "event_calibration", "qat_network", "quantize",
    "quantize_network", "quantized_predictor", "require_options",
]  # fmt: skip
