"""SOFTMAX, along the last axis."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from keras_mtl.firmware_host.reference import fixed_point
from keras_mtl.firmware_host.reference.arithmetic import (
    MOST_SHIFT_32,
    Multipliers,
    divide_by_power,
    high_product,
    multipliers,
    requantize32,
    round_half_away,
)
from keras_mtl.firmware_host.reference.node import Node

#: Integer bits of differences to the greatest input, and of the sum of their exponentials.
_DIFFERENCE_BITS, _SUM_BITS = 5, 12
_TABLE_STEPS = 512
#: Real range of the table of exp, which ends at 0.
_EXP_RANGE = 10.0
_LEAST, _MOST = -(1 << 15), (1 << 15) - 1
#: Real values of 16 bits in a table, and what one of them is.
_INTERVALS = np.float32(65535)


@dataclass(frozen=True, eq=False)
class Softmax8:
    """SOFTMAX of int8; the output has a zero point of -128 and a step of 1 / 256.

    Attributes:
        multipliers: the factor from differences to fixed-point numbers.
        least: differences below it become 0.
    """

    multipliers: Multipliers
    least: int

    def __call__(self, data: np.ndarray) -> tuple[np.ndarray]:
        """Data [..., classes]."""
        differences = data.astype(np.int64) - data.max(axis=-1, keepdims=True)
        counted = differences >= self.least
        powers = self.powers(np.where(counted, differences, 0))
        sums = np.where(counted, divide_by_power(powers, _SUM_BITS), 0).sum(axis=-1, keepdims=True)
        headroom = _leading_zeros(sums)
        scale = fixed_point.one_over_one_plus((sums << headroom) - (1 << 31))
        shares = divide_by_power(high_product(scale, powers), _SUM_BITS - headroom + 23)
        return (np.where(counted, np.clip(shares - 128, -128, 127), -128).astype(np.int8),)

    def powers(self, differences: np.ndarray) -> np.ndarray:
        """exp of differences from `least` to 0, without integer bits."""
        return fixed_point.exp_of_negative(requantize32(differences, self.multipliers), _DIFFERENCE_BITS)


@dataclass(frozen=True, eq=False)
class Softmax16:
    """SOFTMAX of int16, by tables of exp and of a reciprocal; the output has a step of 2^-15.

    Attributes:
        multipliers: the factor from differences to places of the table of exp.
        exp: its table, of [-10, 0].
        reciprocal: table of 1 / (1 + x) of [0, 1].
    """

    multipliers: Multipliers
    exp: np.ndarray = field(repr=False)
    reciprocal: np.ndarray = field(repr=False)

    def __call__(self, data: np.ndarray) -> tuple[np.ndarray]:
        """Data [..., classes]."""
        differences = data.astype(np.int64) - data.max(axis=-1, keepdims=True)
        powers = _looked_up(self.exp, requantize32(differences, self.multipliers) + _MOST)
        sums = powers.sum(axis=-1, keepdims=True)
        headroom = _leading_zeros(sums)
        scale = _looked_up(self.reciprocal, (((sums << (headroom - 1)) + (1 << 13)) >> 14) - (1 << 15) - (1 << 16))
        shift = 31 - headroom
        shares = (powers * scale + (np.int64(1) << (shift - 1))) >> shift
        return (np.clip(shares, 0, _MOST).astype(np.int16),)


def softmax(node: Node) -> Softmax8 | Softmax16:
    """Prepares a SOFTMAX."""
    data, output = node.input(0), node.output
    dtype = node.require_types(data, output)
    node.require(len(data.shape) > 0, "a scalar")
    node.require_shape(output, data.shape)
    step, beta = np.float64(node.scale(data)), np.float64(np.float32(node.options.beta))
    if dtype == "int16":
        near = abs(node.scale(output) - np.float32(2.0**-15)) <= np.float32(0.001 * 2.0**-15)
        node.require(bool(near), "the step of its output is not 2^-15")
        node.zero_point(data), node.zero_point(output)
        made = node.factors(step * beta / (_EXP_RANGE / 65535.0), MOST_SHIFT_32)
        return Softmax16(made, exp_table(), reciprocal_table())
    fixed = node.zero_point(output) == -128 and node.scale(output) == np.float32(2.0**-8)
    node.require(bool(fixed), "its output has not the step 1 / 256 and the zero point -128")
    real = min(float(step * beta) * 2.0 ** (31 - _DIFFERENCE_BITS), 2.0**31 - 1)
    node.require(real > 1, "the product of its input's step and its beta is too small: TFLM ends the program there")
    made = multipliers(real)
    return Softmax8(made, -((((1 << _DIFFERENCE_BITS) - 1) << (31 - _DIFFERENCE_BITS)) >> made.one[1]))


def exp_table() -> np.ndarray:
    """exp(x) of [-10, 0] in 513 places, int16 with a step of 2 / 65535."""
    return _table(np.float32(_EXP_RANGE) / _INTERVALS, _MOST, np.exp)


def reciprocal_table() -> np.ndarray:
    """1 / (1 + x) of [0, 1] in 513 places, int16 with a step of 2 / 65535."""
    return _table(np.float32(1) / _INTERVALS, _LEAST, lambda x: 1 / (1 + x))


def _table(step: np.float32, zero: int, function: Callable[[Any], Any]) -> np.ndarray:
    """A table between whose places values are interpolated, shifted so as to halve the error in the middle of two.

    All in float32, and the function rounded to it: TFLM's `LUTPopulateInt16` in `kernels/internal/common.h`.
    """

    def scaled(x: Any) -> Any:
        return function(np.float64(x)).astype(np.float32) * per_output

    first, last = step * np.float32(_LEAST - zero), step * np.float32(_MOST - zero)
    output_step = np.float32(2) / _INTERVALS
    per_output = np.float32(65536) / (output_step * np.float32(_MOST) - output_step * np.float32(_LEAST))
    width = (last - first) / np.float32(_TABLE_STEPS)
    places = first + np.arange(_TABLE_STEPS + 1, dtype=np.float32) * width
    values, after = scaled(places[:-1]), scaled(places[1:])
    middles = round_half_away(scaled(places[:-1] + width / np.float32(2)))
    samples = round_half_away(values)
    error = round_half_away((after + samples) / np.float32(2)) - middles
    ends = [*(samples - round_half_away(error / np.float32(2))), round_half_away(scaled(last))]
    return np.clip(ends, _LEAST, _MOST).astype(np.int64)


def _looked_up(table: np.ndarray, places: np.ndarray) -> np.ndarray:
    """Values of a table at places of 16 bits, of which the upper 9 choose a place and the others interpolate."""
    within = np.clip(places, _LEAST, _MOST)
    index = 256 + (within >> 7)
    return table[index] + (((table[index + 1] - table[index]) * (within & 0x7F) + 64) >> 7)


def _leading_zeros(values: np.ndarray) -> np.ndarray:
    """Leading zeros of positive values of 32 bits."""
    return 32 - np.frexp(values.astype(np.float64))[1].astype(np.int64)
