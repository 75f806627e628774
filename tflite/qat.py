"""Public names of quantization-aware training. Importing this registers the layers of a saved `qat.keras`."""

from keras_mtl.tflite.calibration import calibrate, calibrate_network, ranges
from keras_mtl.tflite.fake_quant import FakeQuant
from keras_mtl.tflite.network_distillation import NetworkDistillation
from keras_mtl.tflite.qat_gru import FakeQuantGRU, FakeQuantGRUCell
from keras_mtl.tflite.qat_layers import FakeQuantConv2D, FakeQuantDense, FakeQuantDepthwiseConv2D, WeightedMean
from keras_mtl.tflite.qat_model import build_qat
from keras_mtl.tflite.qat_network import build_qat_network
from keras_mtl.tflite.quantize import Quantized, quantize
from keras_mtl.tflite.quantize_network import quantize_network
from keras_mtl.tflite.self_distillation import SelfDistillation, teacher_of

__all__ = [
    "FakeQuant",
    "FakeQuantConv2D",
    "FakeQuantDense",
    "FakeQuantDepthwiseConv2D",
    "FakeQuantGRU",
    "FakeQuantGRUCell",
    "NetworkDistillation",
    "Quantized",
    "SelfDistillation",
    "WeightedMean",
    "build_qat",
    "build_qat_network",
    "calibrate",
    "calibrate_network",
    "quantize",
    "quantize_network",
    "ranges",
    "teacher_of",
]
