"""Quantization-aware training of any Keras 3 functional model, to integer `.tflite` files for TensorFlow Lite Micro.

`quantize_model` makes a twin that computes what the integer kernels compute, `calibrate` sets its ranges, `twin.fit`
trains it as any Keras model, and `convert` writes the file operator by operator. See docs/qat.md.
"""

from typing import TYPE_CHECKING

from keras_mtl.core.lazy import lazy

if TYPE_CHECKING:
    from keras_mtl.qat.calibration import METHODS, calibrate
    from keras_mtl.qat.conversion import convert
    from keras_mtl.qat.files import Nearness, convert_file, quantize_file
    from keras_mtl.qat.network import load, quantize_model
    from keras_mtl.qat.post_training import correct_biases, equalise
    from keras_mtl.tflite.kinds import Call, Operator, Signal, known_kinds, register
else:
    __getattr__, __dir__ = lazy(__name__)

__all__ = [
    "METHODS", "Call", "Nearness", "Operator", "Signal", "calibrate", "convert", "convert_file", "correct_biases",
    "equalise", "known_kinds", "load", "quantize_file", "quantize_model", "register",
]  # fmt: skip
