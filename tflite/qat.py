"""Public names of quantization-aware training. Importing this registers the layers of a saved `qat.keras`."""

from keras_mtl.tflite.calibration import calibrate, ranges
from keras_mtl.tflite.fake_quant import FakeQuant
from keras_mtl.tflite.qat_gru import FakeQuantGRU, FakeQuantGRUCell
from keras_mtl.tflite.qat_layers import FakeQuantConv2D, FakeQuantDense, FakeQuantDepthwiseConv2D, WeightedMean
from keras_mtl.tflite.qat_model import build_qat
from keras_mtl.tflite.quantize_network import Quantized, quantize_network
from keras_mtl.tflite.self_distillation import SelfDistillation

__all__ = [
    "FakeQuant",
    "FakeQuantConv2D",
    "FakeQuantDense",
    "FakeQuantDepthwiseConv2D",
    "FakeQuantGRU",
    "FakeQuantGRUCell",
    "Quantized",
    "SelfDistillation",
    "WeightedMean",
    "build_qat",
    "calibrate",
    "quantize_network",
    "ranges",
]
