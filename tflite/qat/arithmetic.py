"""Twins of layers without large weights: sums, products, means and pools, as the integer operators compute them.

Values that a `FakeQuant` follows come with the step of the integers they are accumulated in, where the kernels round
by it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from keras_mtl.tflite.patch import COARSE_LEVELS

#: What a mean of up to 100 whole numbers of 16 bits may lack in float32, and less than any such mean is off a half.
_NEARLY = 2.0**-8
_FINE_LEVELS = 2**15 - 1


@keras.saving.register_keras_serializable(package="keras_mtl")
class Sum(keras.layers.Layer):
    """Sum of two signals, with a ReLU or without: one ADD in the file.

    `tf.add`, because the converter makes a bias and a RESHAPE of Keras's own.

    Args:
        rectified: whether a ReLU follows.
        **options: options of `keras.layers.Layer`.
    """

    def __init__(self, rectified: bool = False, **options: Any) -> None:
        super().__init__(**options)
        self.rectified = rectified

    def call(self, inputs: Any, others: Any) -> Any:
        """Two signals whose shapes can be broadcast, to their sum."""
        total = tf.add(inputs, others)
        return tf.nn.relu(total) if self.rectified else total

    def compute_output_shape(self, inputs_shape: Any, others_shape: Any) -> Any:
        """The first signal's shape: the second is broadcast."""
        return inputs_shape

    def get_config(self) -> dict[str, Any]:
        """All constructor arguments."""
        return {**super().get_config(), "rectified": self.rectified}


@keras.saving.register_keras_serializable(package="keras_mtl")
class Product(keras.layers.Layer):
    """Product of two signals: one MUL in the file."""

    def call(self, inputs: Any, others: Any, input_step: Any, other_step: Any) -> Any:
        """Two signals whose shapes can be broadcast and their steps, to their product and its step."""
        return tf.multiply(inputs, others), tf.convert_to_tensor(input_step) * other_step

    def compute_output_shape(self, inputs_shape: Any, others_shape: Any, **steps: Any) -> Any:
        """The first signal's shape, and that of a scalar."""
        return inputs_shape, ()


@keras.saving.register_keras_serializable(package="keras_mtl")
class Mean(keras.layers.Layer):
    """Mean over axes, which stay with length 1: one MEAN in the file, with a range of its own.

    AVERAGE_POOL_2D would keep the input's scale, and logits need finer steps than the map that they are the mean of.

    For the mean over axes 1 and 2, LiteRT has an optimised 8-bit kernel that rounds the zero point by itself, and is
    off by up to half a step for all values alike. So the file names the batch axis as well, of one element there.

    Args:
        axes: axes of the mean.
        **options: options of `keras.layers.Layer`.
    """

    imitates_kernels = True

    def __init__(self, axes: Sequence[int] = (1, 2), **options: Any) -> None:
        super().__init__(**options)
        self.axes = tuple(axes)

    def divisor(self, inputs_shape: Any) -> int:
        """How many values one mean is of."""
        return math.prod(inputs_shape[axis] for axis in self.axes)

    def call(self, inputs: Any) -> Any:
        """A signal to its mean."""
        axes = self.axes if self.imitates_kernels else (0, *self.axes)
        return tf.reduce_mean(inputs, axes, keepdims=True)

    def compute_output_shape(self, inputs_shape: Any) -> Any:
        """The input's shape with 1 for the axes."""
        return tuple(1 if axis in self.axes else size for axis, size in enumerate(inputs_shape))

    def get_config(self) -> dict[str, Any]:
        """All constructor arguments."""
        return {**super().get_config(), "axes": list(self.axes)}


@keras.saving.register_keras_serializable(package="keras_mtl")
class AveragePool(keras.layers.AveragePooling2D):
    """Average pool on the levels of its input: AVERAGE_POOL_2D keeps the scale, so no range follows.

    The kernel rounds the mean of the integers to the nearest, halves away from integer 0. It does so in the file, and
    here except while a graph is traced for the converter.

    Args:
        zero_point: the integer that stands for 0 in the input. None where it is not known beforehand (signed 8-bit
            values): halves then round up, which the kernel does not do for negative integers.
        **options: arguments of `keras.layers.AveragePooling2D`.
    """

    imitates_kernels = True

    def __init__(self, zero_point: int | None = None, **options: Any) -> None:
        super().__init__(**options)
        self.zero_point = zero_point

    def call(self, inputs: Any, input_step: Any) -> Any:
        """[batch, height, width, channels] and their step to [batch, height', width', channels]."""
        pooled = self._pool(inputs)
        if not self.imitates_kernels:
            return pooled
        # Of whole numbers, since float32 leaves the mean of 16-bit values beside the half that it is.
        levels = self._pool(tf.round(inputs / input_step))
        half = 0.5 + _NEARLY
        if self.zero_point is None:
            rounded = tf.floor(levels + half)
        else:
            levels += float(self.zero_point)
            rounded = tf.sign(levels) * tf.floor(tf.abs(levels) + half) - float(self.zero_point)
        return pooled + tf.stop_gradient(rounded * input_step - pooled)

    def _pool(self, inputs: Any) -> Any:
        return tf.nn.avg_pool2d(inputs, self.pool_size, self.strides, self.padding.upper())

    def compute_output_shape(self, inputs_shape: Any, input_step_shape: Any = None) -> Any:
        """[batch, height', width', channels]."""
        return super().compute_output_shape(inputs_shape)

    def get_config(self) -> dict[str, Any]:
        """All constructor arguments."""
        return {**super().get_config(), "zero_point": self.zero_point}


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
