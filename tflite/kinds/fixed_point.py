"""What integer kernels compute from whole numbers, in TensorFlow and to the bit.

Everything is int64, so that nothing is lost of a product of 31 bits and an accumulator. The functions are those of
`tensorflow/lite/kernels/internal/common.h` and `quantization_util.cc`, which TensorFlow Lite Micro shares.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import tensorflow as tf

#: Bits by which ADD and SUB shift their inputs to the left, by the bits of these.
_ADD_SHIFT = {8: 20, 16: 15}
_TABLE_STEPS = 512
_INT16 = np.iinfo(np.int16)
#: Traced once for each rank and each constant argument: operation by operation they would take ten times as long.
_traced = tf.function(autograph=False, reduce_retracing=True)
#: Steps of the kernels' table of the logistic function in one unit of its argument.
_LOGISTIC_STEPS = 24


def whole(values: Any) -> Any:
    """Values that are whole numbers but for rounding errors, as int64."""
    return tf.cast(tf.round(values), tf.int64)


def fixed_point(multiplier: Any) -> tuple[Any, Any]:
    """A multiplier as (mantissa, exponent): mantissa 2^(exponent - 31), 2^30 <= mantissa < 2^31 (`QuantizeMultiplier`).

    Args:
        multiplier: positive, float64, of any shape.
    """
    two = tf.constant(2.0, tf.float64)
    multiplier = tf.maximum(tf.cast(multiplier, tf.float64), 2.0**-60)
    exponent = tf.floor(tf.math.log(multiplier) / math.log(2.0)) + 1.0
    part = multiplier * tf.pow(two, -exponent)
    exponent += tf.cast(part >= 1.0, tf.float64) - tf.cast(part < 0.5, tf.float64)
    mantissa = tf.floor(multiplier * tf.pow(two, 31.0 - exponent) + 0.5)
    full = mantissa >= 2.0**31
    mantissa, exponent = tf.where(full, mantissa / 2.0, mantissa), exponent + tf.cast(full, tf.float64)
    tiny = exponent < -31.0
    zero = tf.zeros_like(mantissa)
    mantissa, exponent = tf.where(tiny, zero, mantissa), tf.where(tiny, zero, exponent)
    return tf.cast(mantissa, tf.int64), tf.cast(exponent, tf.int64)


def multiplied(values: Any, mantissa: Any, exponent: Any) -> Any:
    """Whole numbers times a fixed-point number, rounded twice: to 2^exponent, then to 1.

    `MultiplyByQuantizedMultiplier` of 32 bits.
    """
    zero = tf.zeros_like(exponent)
    left, right = tf.maximum(exponent, zero), tf.maximum(-exponent, zero)
    high = _shifted(tf.bitwise.left_shift(*_alike(values, left)) * mantissa + (1 << 30), 31)
    return _divided_by_power(high, right)


def multiplied_once(values: Any, mantissa: Any, exponent: Any) -> Any:
    """Whole numbers times a fixed-point number of 15 bits, rounded once: what accumulators of 16-bit kernels are.

    `MultiplyByQuantizedMultiplier` of 64 bits.
    """
    reduced = tf.where(mantissa < 0x7FFF0000, _shifted(mantissa + (1 << 15), 16), 0x7FFF)
    total = 15 - exponent
    rounding = tf.bitwise.left_shift(tf.ones_like(total), total - 1)
    return _shifted(values * reduced + rounding, total)


@_traced
def requantized(values: Any, multiplier: Any, bits: int) -> Any:
    """What kernels with weights make of their accumulators.

    Args:
        values: whole numbers, int64 [..., channels].
        multiplier: step of the accumulators over that of the output, scalar or [channels].
        bits: bits of the output.
    """
    return (multiplied if bits == 8 else multiplied_once)(values, *fixed_point(multiplier))


@_traced
def rescaled(values: Any, step: Any, target: Any, factor: Any = 1.0) -> Any:
    """Values on levels in steps of another grid, times a factor, as kernels round them."""
    ratio = tf.cast(step, tf.float64) * tf.cast(factor, tf.float64) / tf.cast(target, tf.float64)
    return multiplied(whole(values / step), *fixed_point(ratio))


@_traced
def product(one: Any, one_step: Any, other: Any, other_step: Any, step: Any) -> Any:
    """MUL of levels (less their zero points) in levels of the result; arguments as of `added`."""
    one_step, other_step, step = (tf.cast(each, tf.float64) for each in (one_step, other_step, step))
    return multiplied(one * other, *fixed_point(one_step * other_step / step))


@_traced
def added(one: Any, one_step: Any, other: Any, other_step: Any, step: Any, bits: int, sign: int = 1) -> Any:
    """ADD or SUB of levels (less their zero points) in levels of the result.

    Args:
        one: levels, int64.
        one_step: their step.
        other: the same of the other input.
        other_step: its step.
        step: of the result.
        bits: bits of all of them.
        sign: 1 for ADD, -1 for SUB.
    """
    one_step, other_step, step = (tf.cast(each, tf.float64) for each in (one_step, other_step, step))
    twice, shift = 2.0 * tf.maximum(one_step, other_step), _ADD_SHIFT[bits]
    first = _scaled(one * (1 << shift), one_step / twice)
    second = _scaled(other * (1 << shift), other_step / twice, sign)
    return _scaled(first + second, twice / ((1 << shift) * step))


@_traced
def meaned(total: Any, count: int, multiplier: Any) -> Any:
    """MEAN: the sums of `count` levels each, in levels of the result (`QuantizedMeanOrSum`)."""
    mantissa, exponent = fixed_point(multiplier)
    shift = tf.minimum(tf.constant(min(count.bit_length() - 1, 32), tf.int64), 31 + exponent)
    mantissa = tf.bitwise.left_shift(mantissa, shift) // count
    return multiplied(total, mantissa, exponent - shift)


@_traced
def averaged(total: Any, count: Any, zero_point: Any) -> Any:
    """AVERAGE_POOL_2D: the mean of integers, halves away from integer 0, less the zero point.

    Args:
        total: sum of the levels of each window, less their zero points.
        count: how many values each is of.
        zero_point: the integer that stands for 0.
    """
    total += count * zero_point
    half = count // 2
    mean = tf.sign(total) * ((tf.abs(total) + half) // count)
    return mean - zero_point


def _scaled(values: Any, multiplier: Any, sign: int = 1) -> Any:
    mantissa, exponent = fixed_point(multiplier)
    return multiplied(values, sign * mantissa, exponent)


def _divided_by_power(values: Any, exponent: Any) -> Any:
    """`RoundingDivideByPOT`: halves away from zero."""
    values, exponent = _alike(values, exponent)
    mask = tf.bitwise.left_shift(tf.ones_like(exponent), exponent) - 1
    rest, threshold = tf.bitwise.bitwise_and(values, mask), mask // 2 + tf.cast(values < 0, tf.int64)
    return tf.bitwise.right_shift(values, exponent) + tf.cast(rest > threshold, tf.int64)


def _shifted(values: Any, bits: Any) -> Any:
    return tf.bitwise.right_shift(*_alike(values, tf.cast(bits, tf.int64)))


def _alike(values: Any, other: Any) -> tuple[Any, Any]:
    shape = tf.broadcast_dynamic_shape(tf.shape(values), tf.shape(other))
    return tf.broadcast_to(values, shape), tf.broadcast_to(other, shape)


def _logistic_table() -> np.ndarray:
    """The kernels' `sigmoid_table_uint16`, as their outputs show it: 2^16 sigmoid(i / 24).

    Each point is moved by half the error of the interpolation in the middle behind it, as in `_table_16`; but the last
    one, behind which nothing is interpolated.
    """
    at = 65536.0 / (1.0 + np.exp(-np.arange(0.0, 256.5, 0.5) / _LOGISTIC_STEPS))
    error = (at[:-2:2] + at[2::2]) / 2.0 - at[1:-1:2]
    table = np.minimum(np.floor(at[:-2:2] - error / 2.0 + 0.5), 65535).astype(np.int64)
    table[-1] = 65535
    return table


@_traced
def squashed_16(levels: Any, step: Any, tanh: bool) -> Any:
    """LOGISTIC or TANH of 16 bits: levels to levels of 2^-15, interpolated in a table as the kernels do."""
    scaled = tf.cast(step, tf.float64) * 4096.0 * 3.0
    # As many bits as make the multiplier one of 15 bits.
    power = tf.floor(tf.math.log(32767.0 / 2.0 / scaled) / math.log(2.0)) + 1.0
    power = tf.clip_by_value(power, 0.0, 31.0)
    power = tf.where(scaled * tf.pow(tf.constant(2.0, tf.float64), power - 1.0) > 32767.0 / 2.0, power - 1.0, power)
    shift = tf.cast(tf.maximum(power, 0.0), tf.int64)
    multiplier = tf.cast(tf.floor(scaled * tf.pow(tf.constant(2.0, tf.float64), tf.cast(shift, tf.float64))), tf.int64)
    rounding = tf.where(shift > 0, tf.bitwise.left_shift(tf.ones_like(shift), tf.maximum(shift - 1, 0)), 0)
    argument = _shifted(levels * multiplier + rounding, shift)
    size, table, bits = tf.abs(argument), tf.constant(_logistic_table()), 8 if tanh else 9
    index = tf.minimum(_shifted(size, bits), 254)
    low, high = tf.gather(table, index), tf.gather(table, index + 1)
    rest = tf.bitwise.bitwise_and(size, tf.constant((1 << bits) - 1, tf.int64))
    value = low * (1 << bits) + rest * (high - low)
    full = tf.constant((0xFFFF << 8) if tanh else (0x7FFF << 10), tf.int64)
    value = tf.where(_shifted(size, bits) >= 255, full, value)
    if tanh:
        offset = 1 << (14 + 9)
        value = tf.where(argument >= 0, value - offset + (1 << 7), -value + offset + (1 << 7) - 1)
        return _shifted(value, 8)
    return _shifted(tf.where(argument >= 0, value + (1 << 9), (1 << 25) - value + (1 << 9) - 1), 10)


def _table_16(function: Any, low: float, high: float, output_span: float) -> np.ndarray:
    """`LUTPopulate` of 16 bits: 513 points, each moved by half the error of the interpolation in the middle."""
    step, scaling = np.float32((high - low) / _TABLE_STEPS), np.float32(65536.0 / output_span)
    starts = np.float32(low) + np.arange(_TABLE_STEPS + 1, dtype=np.float32) * step
    at, middle = function(starts), function(starts[:-1] + step / np.float32(2))
    rounded = _half_away(at[:-1] * scaling)
    between = _half_away((at[1:] * scaling + rounded) / np.float32(2))
    bias = _half_away((between - _half_away(middle * scaling)) / np.float32(2))
    table = np.append(rounded - bias, _half_away(function(np.array([high], np.float32)) * scaling))
    return np.clip(table, _INT16.min, _INT16.max).astype(np.int64)


def _half_away(values: Any) -> Any:
    return np.sign(values) * np.floor(np.abs(values) + np.float32(0.5))


def _looked_up(table: np.ndarray, levels: Any) -> Any:
    index, rest = 256 + _shifted(levels, 7), tf.bitwise.bitwise_and(levels, tf.constant(0x7F, tf.int64))
    low = tf.gather(tf.constant(table), index)
    slope = tf.gather(tf.constant(table), index + 1) - low
    return low + _shifted(slope * rest + 64, 7)


@_traced
def softmax_16(levels: Any, step: Any) -> Any:
    """SOFTMAX of 16 bits over the last axis: levels to levels of 2^-15, by the kernels' two tables."""
    span = 10.0 / 65535.0
    exponentials = _table_16(np.exp, -10.0, 0.0, 2.0)
    reciprocals = _table_16(lambda x: 1.0 / (1.0 + x), 0.0, 1.0, 2.0)
    difference = levels - tf.reduce_max(levels, axis=-1, keepdims=True)
    scaled = multiplied(difference, *fixed_point(tf.cast(step, tf.float64) / span))
    power = _looked_up(exponentials, tf.clip_by_value(scaled + 32767, -32768, 32767))
    total = tf.reduce_sum(power, axis=-1, keepdims=True)
    # Bits before the leading one of the sum, in 32 bits, and one more.
    headroom = 31 - tf.cast(tf.floor(tf.math.log(tf.cast(total, tf.float64) + 0.25) / math.log(2.0)), tf.int64)
    shifted = _shifted(tf.bitwise.left_shift(total, headroom - 1) + (1 << 13), 14)
    reciprocal = _looked_up(reciprocals, tf.clip_by_value(shifted - (1 << 15) - (1 << 16), -32768, 32767))
    right = 31 - headroom
    rounding = tf.bitwise.left_shift(tf.ones_like(right), right - 1)
    return tf.clip_by_value(_shifted(power * reciprocal + rounding, right), 0, 32767)
