"""Fake quantization in Keras 3: float tensors that take only the values which the integers of a file can express.

The converter reads ranges from TensorFlow's own fake-quant operators, to the bit. Their gradient passes where a value
lies inside the range, and flows to the range's end where it was clipped (Choi et al. 2018, "PACT"), so 8-bit ranges
learn with the weights. On top of that the forward pass rounds as the integer kernels of the devices do: without it, one
output in 500 of a first layer differs by a step, one in 6 after six layers, and the logits by up to 3. With 8 bits the
outputs are those of the device to the bit. With 16 they are nearly so: accumulators of up to 31 bits do not fit into
the float32 that a convolution sums in.
"""

from __future__ import annotations

import math
from typing import Any

import keras
import tensorflow as tf

from keras_mtl.tflite.qat.scheme import Scheme, scale_and_zero_point

_WEIGHT_BITS = 8
_WEIGHT_LEVELS = 127
#: A channel whose weights are all but 0 would get a scale so small that its bias overflows 32 bits.
_SMALLEST_SHARE = 1e-3
#: Part of the way to a batch's extremes that a range goes in one step of training.
_MOVING_SHARE = 0.01
#: No range is smaller.
SMALLEST_LIMIT = 1e-6


def as_kernels_round(values: Any, multiplier: Any, bits: int, divisor: int = 1) -> Any:
    """Moves accumulators, in output steps, so that rounding them to the nearest gives what integer kernels give.

    A kernel multiplies an accumulator by a fixed-point number m 2^-n, 0.5 <= m < 1. With 8-bit outputs it rounds twice,
    to 2^-n and then to 1, so what lies less than 2^-(n+1) below a half goes up. With 16-bit outputs it rounds once, but
    m has 15 bits only. (`MultiplyByQuantizedMultiplier` of TensorFlow Lite, and CMSIS-NN after it.) Means round twice
    with both, and theirs is the m of the sum, divided without being normalised again.

    Args:
        values: accumulators in steps of the output, [..., channels].
        multiplier: input step x weight step / output step, scalar or [channels].
        bits: bits of the output.
        divisor: how many values a mean is of; 1 for what is no mean. The multiplier is that of the sum.
    """
    if divisor > 1:
        exponent = tf.math.floor(tf.math.log(multiplier) / math.log(2.0)) + 1.0
        shift = math.floor(math.log2(divisor)) - exponent
        return values + tf.where(shift > 0, tf.sign(values) * tf.pow(2.0, -shift - 1.0), 0.0)
    shift = tf.math.ceil(-tf.math.log(multiplier) / math.log(2.0)) - 1.0
    if bits == 8:
        return values + tf.where(shift > 0, tf.sign(values) * tf.pow(2.0, -shift - 1.0), 0.0)
    mantissa = multiplier * tf.pow(2.0, shift) * 2.0**15
    return values * (tf.minimum(tf.round(mantissa), 2.0**15 - 1) / mantissa)


def levels_of_8_bit_kernels(values: Any, accumulator_step: Any, step: Any) -> Any:
    """The whole numbers of output steps that an 8-bit kernel makes of accumulators, to the last one.

    A kernel's accumulators are whole numbers, and its fixed-point multiplier has 31 bits, so nothing is left to
    single precision: sums in float32 are rounded back to the whole numbers that they stand for, and the rest is in
    float64, which holds their products exactly. (`MultiplyByQuantizedMultiplier` of TensorFlow Lite: it rounds twice.)

    Args:
        values: accumulators as real values, [..., channels].
        accumulator_step: [2, channels] or [2]: the two steps whose product is theirs.
        step: of the output.
    """
    one, other = tf.unstack(tf.cast(accumulator_step, tf.float64))
    whole = tf.round(tf.cast(values, tf.float64) / (one * other))
    multiplier = one * other / tf.cast(step, tf.float64)
    exponent = tf.floor(tf.math.log(multiplier) / tf.constant(math.log(2.0), tf.float64)) + 1.0
    exponent += tf.cast(multiplier * tf.pow(tf.constant(2.0, tf.float64), -exponent) >= 1.0, tf.float64)
    mantissa = tf.round(multiplier * tf.pow(tf.constant(2.0, tf.float64), 31.0 - exponent))
    # A multiplier above 1 shifts the accumulator first, one below 1 the product afterwards.
    before = tf.pow(tf.constant(2.0, tf.float64), tf.maximum(exponent, 0.0))
    high = tf.floor(whole * before * mantissa / 2.0**31 + 0.5)
    divided = high * tf.pow(tf.constant(2.0, tf.float64), tf.minimum(exponent, 0.0))
    return tf.cast(tf.sign(divided) * tf.floor(tf.abs(divided) + 0.5), tf.float32)


def fake_quant_per_channel(weights: Any, smallest_limit: float = SMALLEST_LIMIT) -> tuple[Any, Any]:
    """Weights [..., channels] on 8-bit symmetric levels, one scale for each channel: (weights, steps [channels])."""
    limits = tf.reduce_max(tf.abs(weights), axis=list(range(len(weights.shape) - 1)))
    floor = tf.maximum(_SMALLEST_SHARE * tf.reduce_max(limits), smallest_limit)
    limits = tf.stop_gradient(tf.maximum(limits, floor))
    quantized = tf.quantization.fake_quant_with_min_max_vars_per_channel(
        weights, -limits, limits, num_bits=_WEIGHT_BITS, narrow_range=True
    )
    return quantized, limits / _WEIGHT_LEVELS


def fake_quant_per_tensor(weights: Any) -> tuple[Any, Any]:
    """Weights of any shape on 8-bit symmetric levels with one scale: (weights, step)."""
    limit = tf.stop_gradient(tf.maximum(tf.reduce_max(tf.abs(weights)), SMALLEST_LIMIT))
    quantized = tf.quantization.fake_quant_with_min_max_vars(
        weights, -limit, limit, num_bits=_WEIGHT_BITS, narrow_range=True
    )
    return quantized, limit / _WEIGHT_LEVELS


def fake_quant_bias(bias: Any, step: Any) -> Any:
    """A bias on the integer levels of its accumulator; the gradient passes.

    Small as the rounding is, it shifts every value of a channel the same way: without it one in 500 outputs of a first
    layer lands on the next level, and that grows from layer to layer.

    Args:
        bias: [channels].
        step: input step x weight step, scalar or [channels].
    """
    return bias + tf.stop_gradient(tf.round(bias / step) * step - bias)


def _on_levels(values: Any, top: float) -> Any:
    """Rounds to whole numbers in -top..top. TensorFlow's operator does too, but counts levels from the range's start.

    With 16 bits that leaves float32 no digits to spare: one value in 500 would land on the next level.
    """
    return _round(tf.clip_by_value(values, -top, top))


@tf.custom_gradient
def _round(values: Any) -> Any:
    return tf.floor(values + 0.5), lambda gradient: gradient


@keras.saving.register_keras_serializable(package="keras_mtl")
class FakeQuant(keras.layers.Layer):
    """Activations on the levels of a range: clip, then round to the nearest level.

    Gives the activations and the step from one level to the next, which the next layer's bias needs. Given the step of
    the accumulators that it rounds, it rounds as the kernels of the device do, except while a graph is traced for the
    converter: then `imitates_kernels` is set to false, because the file's own kernels do it.

    Args:
        bits: bits of the integer that holds the activation in the file.
        symmetric: range +-high, zero point 0.
        positive: range 0..high, for values after a ReLU. Only without `symmetric`.
        fixed: the range is given by the format (tanh, softmax) and is neither calibrated nor learned.
        headroom: factor from the largest calibrated value to the end of the range.
        most: no calibrated range reaches beyond +-most, where what follows (a tanh) is saturated; None for no limit.
        low: start of the range before calibration.
        high: end of the range before calibration.
        divisor: how many values a mean is of, where it is a mean that is rounded.
        learning: how the range changes in training: by its gradient where it clips (8 bits only: 16 bits clip
            nothing), or as a moving average of the least and the largest value of each batch.
        **options: options of `keras.layers.Layer`.
    """

    def __init__(
        self,
        bits: int = 8,
        symmetric: bool = False,
        positive: bool = False,
        fixed: bool = False,
        headroom: float = 1.0,
        most: float | None = None,
        low: float = -6.0,
        high: float = 6.0,
        divisor: int = 1,
        learning: str = "gradient",
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self.bits, self.symmetric, self.positive, self.fixed, self.most = bits, symmetric, positive, fixed, most
        self.headroom, self.divisor, self.learning = headroom, divisor, learning
        self.imitates_kernels = True
        #: While this is a list, values pass as they are and are kept in it: how a range inside a loop is calibrated.
        self.observed: list[Any] | None = None
        self._start = (low, high)
        # 16 bits clip nothing, so their ranges have nothing to learn from.
        learns = not (fixed or symmetric) and learning == "gradient"
        self.low = self.add_weight(
            shape=(), initializer=keras.initializers.Constant(low), trainable=learns and not positive, name="low"
        )
        self.high = self.add_weight(
            shape=(), initializer=keras.initializers.Constant(high), trainable=learns, name="high"
        )

    @classmethod
    def for_scheme(cls, scheme: Scheme, positive: bool = False, **options: Any) -> FakeQuant:
        """The layer for activations of a scheme."""
        options = {"headroom": scheme.headroom, "learning": scheme.learning, **options}
        return cls(scheme.bits, scheme.symmetric, positive and not scheme.symmetric, **options)

    def call(self, inputs: Any, accumulator_step: Any = None, training: Any = None) -> tuple[Any, Any]:
        """Activations of any shape, in float32, to (activations on the levels of the range, step)."""
        if training and self.learning == "moving_average" and self.trainable and not self.fixed:
            self._follow(inputs)
        # A range must hold 0 and not be empty, whatever the optimiser did to its ends.
        high = tf.maximum(self.high, SMALLEST_LIMIT)
        low = -high if self.symmetric else tf.minimum(self.low, 0.0)
        step = (high - low) / (2**self.bits - 1 - int(self.symmetric))
        if self.observed is not None:
            self.observed.append(inputs)
            return inputs, step
        if accumulator_step is not None and self.imitates_kernels:
            moved = self._as_kernels_round(inputs, accumulator_step, step)
            inputs += tf.stop_gradient(moved - inputs)
        if self.symmetric and self.imitates_kernels:
            return _on_levels(inputs / step, 2.0 ** (self.bits - 1) - 1) * step, step
        quantized = tf.quantization.fake_quant_with_min_max_vars(
            inputs, low, high, num_bits=self.bits, narrow_range=self.symmetric
        )
        return quantized, step

    def _as_kernels_round(self, inputs: Any, accumulator_step: Any, step: Any) -> Any:
        accumulator_step = tf.convert_to_tensor(accumulator_step)
        pair = accumulator_step.shape.rank > 0  # what comes from weights has two steps
        if pair and self.bits == 8 and self.divisor == 1:
            return levels_of_8_bit_kernels(inputs, accumulator_step, step) * step
        if pair:
            accumulator_step = accumulator_step[0] * accumulator_step[1]
        return as_kernels_round(inputs / step, accumulator_step / step, self.bits, self.divisor) * step

    def _follow(self, inputs: Any) -> None:
        """Moves the range a little towards the extremes of a batch, as `set_range` would have it."""
        low, high = tf.minimum(tf.reduce_min(inputs), 0.0), tf.maximum(tf.reduce_max(inputs), SMALLEST_LIMIT)
        if self.symmetric:
            high = self.headroom * tf.maximum(high, -low)
        high = tf.minimum(high, self.most or float("inf"))
        low = -high if self.symmetric else tf.maximum(low, -(self.most or float("inf")))
        self.high.assign_add(_MOVING_SHARE * (high - self.high))
        if not self.positive:
            self.low.assign_add(_MOVING_SHARE * (low - self.low))

    def compute_output_shape(self, inputs_shape: Any, accumulator_step_shape: Any = None) -> Any:
        """The input's shape, and that of a scalar."""
        return inputs_shape, ()

    def set_range(self, low: float, high: float) -> None:
        """Sets the range: 0 is included, and made the centre or the start where the layer's kind demands it."""
        most = self.most or float("inf")
        low, high = max(low, -most), min(high, most)
        high = max(float(high), -float(low) if self.symmetric else 0.0, SMALLEST_LIMIT)
        self.high.assign(high)
        self.low.assign(-high if self.symmetric else 0.0 if self.positive else min(float(low), 0.0))

    def scale_and_zero_point(self) -> tuple[float, int]:
        """Scale and zero point that the file must have for this tensor."""
        high = max(float(self.high.numpy()), SMALLEST_LIMIT)
        low = -high if self.symmetric else min(float(self.low.numpy()), 0.0)
        return scale_and_zero_point(low, high, self.bits, self.symmetric)

    def get_config(self) -> dict[str, Any]:
        """All constructor arguments."""
        low, high = self._start
        return {
            **super().get_config(),
            "bits": self.bits,
            "symmetric": self.symmetric,
            "positive": self.positive,
            "fixed": self.fixed,
            "headroom": self.headroom,
            "most": self.most,
            "low": low,
            "high": high,
            "divisor": self.divisor,
            "learning": self.learning,
        }
