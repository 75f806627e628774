"""How integer kernels round accumulators to their outputs, in TensorFlow: what a twin's forward pass imitates.

With 8 bits the twin's outputs are those of the device to the bit. With 16 they are nearly so: accumulators of up to 31
bits do not fit into the float32 that a convolution sums in.
"""

from __future__ import annotations

import math
from typing import Any

import tensorflow as tf


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
