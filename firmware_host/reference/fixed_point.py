"""Functions of fixed-point numbers of 32 bits, as gemmlowp has them (`fixedpoint/fixedpoint.h`, commit 032a5999).

A number with m integer bits is value / 2^(31 - m). Arrays are int64 and hold 32-bit values.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from keras_mtl.firmware_host.reference.arithmetic import (
    INT32_MAX,
    INT32_MIN,
    divide_by_power,
    divide_truncating,
    high_product,
    wrap32,
)

#: exp(-1/8) and 1/3 without integer bits, and 48/17 and -32/17 with two.
_EXP_EIGHTH, _THIRD, _48_OVER_17, _NEG_32_OVER_17 = 1895147668, 715827883, 1515870810, -1010580540
#: exp(-2^k) without integer bits, for k = -2, -1, ...
_EXP_OF_POWERS = (1672461947, 1302514674, 790015084, 290630308, 39332535, 720401, 242)
#: From this many integer bits on exp is 0 below -32.
_CLAMPED_BITS = 6


def times_power(values: Any, exponent: int) -> np.ndarray:
    """x * 2^exponent: rounded, halves away from zero, below 1; saturated above."""
    values = np.asarray(values, np.int64)
    if exponent <= 0:
        return divide_by_power(values, -exponent)
    threshold = (1 << (31 - exponent)) - 1
    shifted = wrap32(values << exponent)
    return np.where(values > threshold, INT32_MAX, np.where(values < -threshold, INT32_MIN, shifted))


def exp_of_negative(values: Any, bits: int) -> np.ndarray:
    """exp(x) of x <= 0 with that many integer bits, without integer bits."""
    values = np.asarray(values, np.int64)
    quarter = 1 << (29 - bits)
    # x is a number in [-1/4, 0) less multiples of 1/4, whose bits choose factors.
    rest = (values & (quarter - 1)) - quarter
    multiples = rest - values
    moved = times_power(rest, bits) + (1 << 28)
    square = high_product(moved, moved)
    cube, fourth = high_product(square, moved), high_product(square, square)
    series = divide_by_power(high_product(divide_by_power(fourth, 2) + cube, _THIRD) + square, 1)
    result = _EXP_EIGHTH + high_product(_EXP_EIGHTH, moved + series)
    for k, factor in enumerate(_EXP_OF_POWERS, start=-2):
        if k < bits:
            chosen = multiples & (1 << (31 - bits + k)) != 0
            result = np.where(chosen, high_product(result, factor), result)
    if bits >= _CLAMPED_BITS:
        result = np.where(values < -(1 << (36 - bits)), 0, result)
    return np.where(values == 0, INT32_MAX, result)


def one_over_one_plus(values: Any) -> np.ndarray:
    """1 / (1 + x) of x in [0, 1) without integer bits, the same."""
    return times_power(_reciprocal_of_half(values), 1)


def logistic(values: Any, bits: int) -> np.ndarray:
    """1 / (1 + exp(-x)) of x with that many integer bits, without integer bits."""
    values = np.asarray(values, np.int64)
    positive = one_over_one_plus(exp_of_negative(-np.abs(values), bits))
    return np.where(values == 0, 1 << 30, np.where(values > 0, positive, INT32_MAX - positive))


def tanh(values: Any, bits: int) -> np.ndarray:
    """The hyperbolic tangent of x with that many integer bits, without integer bits."""
    values = np.asarray(values, np.int64)
    # exp(2 x): the same integers with one integer bit more.
    power = exp_of_negative(-np.abs(values), bits + 1)
    size = times_power(_reciprocal_of_half(power) - (1 << 29), 2)
    return np.sign(values) * size


def _reciprocal_of_half(values: Any) -> np.ndarray:
    """2 / (1 + x) of x in [0, 1) without integer bits, with two integer bits: three steps of Newton's method."""
    total = np.asarray(values, np.int64) + INT32_MAX
    half = divide_truncating(total + np.where(total >= 0, 1, -1), 2)
    x = _48_OVER_17 + high_product(half, _NEG_32_OVER_17)
    for _ in range(3):
        missing = (1 << 29) - high_product(half, x)
        x = x + times_power(high_product(x, missing), 2)
    return x
