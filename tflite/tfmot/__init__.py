"""Quantization by TensorFlow Model Optimization, as an alternative to the own twins."""

from typing import TYPE_CHECKING

from keras_mtl.core.lazy import lazy

if TYPE_CHECKING:
    from keras_mtl.tflite.tfmot.description import describe_scene_part
    from keras_mtl.tflite.tfmot.files import WEIGHTS_FILE, load_twin
    from keras_mtl.tflite.tfmot.quantize import quantize_with_tfmot
    from keras_mtl.tflite.tfmot.run import TfmotNetwork
    from keras_mtl.tflite.tfmot.twin import build_quantized, set_weights
else:
    __getattr__, __dir__ = lazy(__name__)

__all__ = [
    "WEIGHTS_FILE", "TfmotNetwork", "build_quantized", "describe_scene_part", "load_twin", "quantize_with_tfmot",
    "set_weights",
]  # fmt: skip
