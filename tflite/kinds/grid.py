"""The grid of an operator's output: the range that is calibrated and learned, and the levels in it.

Unlike `FakeQuant`, which leaves rounding to TensorFlow's operators because the converter reads ranges from these, a
grid takes the whole numbers that an integer kernel computed, and says which integer stands for 0. Its step and its
zero point are, to the bit, those of the file.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import keras
import tensorflow as tf

from keras_mtl.tflite.flatbuffer import Value
from keras_mtl.tflite.qat import SMALLEST_LIMIT, FakeQuant


@dataclass(frozen=True)
class Signal:
    """A quantized tensor of a twin.

    Attributes:
        values: real values on the levels of its grid, symbolic.
        step: of the levels, a symbolic scalar; None of an input of the model that its reader puts on a grid.
        zero_point: the integer that stands for 0, a symbolic scalar.
        bits: of the integers, 8 or 16.
    """

    values: Any
    step: Any
    zero_point: Any
    bits: int

    @property
    def parts(self) -> tuple[Any, ...]:
        """What an operator is called with."""
        return (self.values,) if self.step is None else (self.values, self.step, self.zero_point)

    @property
    def shape(self) -> tuple[Any, ...]:
        """With the batch dimension, which is None."""
        return tuple(self.values.shape)


@tf.custom_gradient
def instead(values: Any, of: Any) -> Any:
    """`values`, whose gradient is that of `of`."""
    return tf.identity(values), lambda gradient: (None, gradient)


@keras.saving.register_keras_serializable(package="keras_mtl")
class Grid(FakeQuant):
    """A range, and its levels: takes the arguments of `FakeQuant`."""

    def __init__(self, bits: int = 8, symmetric: bool = False, **options: Any) -> None:
        super().__init__(bits, symmetric, **{"dtype": "float32", **options})

    @property
    def limits(self) -> tuple[int, int]:
        """The least and the largest integer."""
        return -(2 ** (self.bits - 1)) + int(self.symmetric), 2 ** (self.bits - 1) - 1

    def levels(self) -> tuple[Any, Any]:
        """Step and zero point, float32."""
        high = tf.maximum(self.high, SMALLEST_LIMIT)
        low = -high if self.symmetric else tf.minimum(self.low, 0.0)
        least, most = self.limits
        step = (high - low) / float(most - least)
        zero_point = tf.clip_by_value(tf.floor(least - low / step + 0.5), float(least), float(most))
        return tf.stop_gradient(step), tf.stop_gradient(zero_point)

    def call(self, inputs: Any, levels: Any = None, training: Any = None) -> Any:
        """Values to their levels.

        Args:
            inputs: real values of any shape.
            levels: whole numbers of steps, as a kernel computed them; by default the nearest.
            training: whether the range follows the values, where it learns by their extremes.

        Returns:
            Values on the levels of the range, their step, and their zero point.
        """
        if training and self.learning == "moving_average" and self.trainable and not self.fixed:
            self._follow(inputs)
        step, zero_point = self.levels()
        # Kernels clip at the least integer of the type, where a symmetric grid's range ends one above it.
        half = float(2 ** (self.bits - 1))
        least, most = -half - zero_point, half - 1.0 - zero_point
        if levels is None:
            levels = tf.floor(inputs / step + 0.5)
        levels = tf.clip_by_value(tf.cast(levels, tf.float32), least, most)
        # Clipped values move the end that clipped them (Choi et al. 2018, "PACT").
        high = tf.maximum(tf.convert_to_tensor(self.high), SMALLEST_LIMIT)
        low = -high if self.symmetric else tf.minimum(tf.convert_to_tensor(self.low), 0.0)
        clipped = tf.maximum(tf.minimum(inputs, high), low)
        return instead(levels * step, clipped), step, zero_point

    def passed(self, inputs: Any) -> tuple[Any, Any, Any]:
        """Values as they are, which are kept in `observed` while that is a list; step and zero point."""
        if self.observed is not None:
            self.observed.append(inputs)
        return inputs, *self.levels()

    def on_grid(self, value: Value) -> Value:
        """Gives a value of a file this grid, and returns it."""
        step, zero_point = self.levels()
        return value.on_grid(self.bits, step.numpy(), zero_point.numpy())

    def scale_and_zero_point(self) -> tuple[float, int]:
        """Scale and zero point that the file has for this tensor."""
        step, zero_point = self.levels()
        return float(step.numpy()), int(zero_point.numpy())
