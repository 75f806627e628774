"""The twin of a reciprocal square root, whose 16-bit kernels do not agree."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from keras_mtl.tflite.patch import COARSE_LEVELS

_FINE_LEVELS = 2**15 - 1


@keras.saving.register_keras_serializable(package="keras_mtl")
class ReciprocalRoot(keras.layers.Layer):
    """1 / sqrt(x) of a signal that is not negative, with a range of its own: one RSQRT of 8 bits in the file.

    For 16 bits LiteRT interpolates between 513 points, which is wrong by 10 % where the curve is steep, tflite-runtime
    has no kernel, and TensorFlow Lite Micro computes it. All agree on 8 bits, so `patch_int16x8` puts an 8-bit operator
    in place of a 16-bit one; here its levels are imitated, except while a graph is traced for the converter.

    The range follows from the input's: its end belongs to level `least` of the input. What is smaller saturates.
    Kernels give the same for 0, so whoever multiplies the result by the input again gets 0.

    Args:
        bits: bits of the activations, 8 or 16. The input's range begins at 0 if they are 8.
        least: the level of the input (of 0..255) where the output's range ends. Smaller ones leave fewer levels to the
            largest inputs: 255 / sqrt(255 / least).
        **options: options of `keras.layers.Layer`.
    """

    imitates_kernels = True

    def __init__(self, bits: int = 8, least: int = 4, **options: Any) -> None:
        super().__init__(**options)
        self.bits, self.least = bits, least

    def call(self, inputs: Any, input_step: Any) -> Any:
        """A signal and its step to 1 / sqrt(x) and its step."""
        finer = _FINE_LEVELS / COARSE_LEVELS if self.bits == 16 else 1.0
        coarse = tf.stop_gradient(tf.convert_to_tensor(input_step) * finer)
        high = tf.math.rsqrt(self.least * coarse)
        step = high / COARSE_LEVELS / finer
        if not self.imitates_kernels:
            low, narrow = (-high, True) if self.bits == 16 else (tf.zeros_like(high), False)
            root = tf.math.rsqrt(inputs)
            return tf.quantization.fake_quant_with_min_max_vars(root, low, high, self.bits, narrow), step
        levels = tf.maximum(tf.floor(inputs / coarse + 0.5), 1.0)
        root = tf.minimum(tf.floor(tf.math.rsqrt(levels * coarse) / (step * finer) + 0.5), COARSE_LEVELS)
        root = tf.floor(root * finer + 0.5) * step
        smooth = tf.minimum(tf.math.rsqrt(tf.maximum(inputs, coarse)), high)
        return smooth + tf.stop_gradient(root - smooth), step

    def compute_output_shape(self, inputs_shape: Any, input_step_shape: Any = None) -> Any:
        """The input's shape, and that of a scalar."""
        return inputs_shape, ()

    def get_config(self) -> dict[str, Any]:
        """All constructor arguments."""
        return {**super().get_config(), "bits": self.bits, "least": self.least}
