"""Quantization-aware training of any Keras 3 functional model, to integer `.tflite` files for TensorFlow Lite Micro.

`quantize_model` makes a twin that computes what the integer kernels compute, `calibrate` sets its ranges, `twin.fit`
trains it as any Keras model, and `convert` writes the file operator by operator. See docs/qat.md.
"""

from typing import TYPE_CHECKING

from keras_mtl.core.lazy import lazy

if TYPE_CHECKING:
    from keras_mtl.qat.calibration import METHODS, calibrate
    from keras_mtl.qat.conversion import convert
    from keras_mtl.qat.files import convert_file, quantize_file, sensitivity_file
    from keras_mtl.qat.mixed import Mix, OperatorCost, mixes_for, operator_costs
    from keras_mtl.qat.nearness import Nearness
    from keras_mtl.qat.network import load, quantize_model
    from keras_mtl.qat.post_training import correct_biases, equalise
    from keras_mtl.qat.schemes import SchemeByLayer, read_scheme
    from keras_mtl.tflite.kinds import Call, Operator, Signal, known_kinds, register
else:
    __getattr__, __dir__ = lazy(__name__)

__all__ = [
    "METHODS", "Call", "Mix", "Nearness", "Operator", "OperatorCost", "SchemeByLayer", "Signal", "calibrate", "convert",
    "convert_file", "correct_biases", "equalise", "known_kinds", "load", "mixes_for", "operator_costs",
    "quantize_file", "quantize_model", "read_scheme", "register", "sensitivity_file",
]  # fmt: skip
