"""The integer arithmetic of the contracts `int8.v1` and `int16x8.v1`: multipliers, their rounding, and ranges.

As TensorFlow Lite Micro's reference kernels have it without `TFLITE_SINGLE_ROUNDING`: `common.cc` and
`quantization_util.cc` in `tensorflow/lite/kernels/internal/` of commit 90b983c2, and `fixedpoint/fixedpoint.h` of
gemmlowp. Integers are int64 arrays here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

INT32_MIN, INT32_MAX = -(1 << 31), (1 << 31) - 1
#: A multiplier of 64-bit sums is cut to 15 bits; from here on rounding would give 2^15.
_LARGEST_REDUCED = 0x7FFF0000
#: Largest exponents of factors: one more would shift 32-bit values out, or leave nothing of 64-bit sums to round.
MOST_SHIFT_32, MOST_SHIFT_64 = 30, 14
#: Factors with a smaller exponent are 0.
#: Factors with a smaller exponent are 0.
LEAST_SHIFT = -31


@dataclass(frozen=True)
class Multipliers:
    """Real factors as value * 2^(shift - 31).

    Attributes:
        values: in [2^30, 2^31), or 0; int64, one without an axis or one a channel.
        shifts: int64, as many, at least -31.
    """

    values: np.ndarray
    shifts: np.ndarray

    @property
    def one(self) -> tuple[int, int]:
        """Value and shift of the only one."""
        return int(self.values.item()), int(self.shifts.item())


def multipliers(real: Any) -> Multipliers:
    """Factors, float64, as integers; below about 2^-32 they become 0."""
    fractions, exponents = np.frexp(np.asarray(real, np.float64))
    values, shifts = round_half_away(fractions * 2.0**31).astype(np.int64), exponents.astype(np.int64)
    full = values == 1 << 31
    values, shifts = np.where(full, values >> 1, values), shifts + full
    gone = shifts < LEAST_SHIFT
    return Multipliers(np.where(gone, 0, values), np.where(gone, 0, shifts))


def round_half_away(values: Any) -> Any:
    """The nearest whole numbers, halves away from zero, in the values' own type: C's `round`."""
    whole = np.trunc(values)
    return whole + np.where(np.abs(values - whole) >= 0.5, np.copysign(1, values), 0).astype(whole.dtype)


def wrap32(values: Any) -> np.ndarray:
    """The values as 32-bit integers hold them."""
    return np.asarray(values, np.int64).astype(np.int32).astype(np.int64)


def divide_truncating(values: np.ndarray, divisor: Any) -> np.ndarray:
    """C's division of integers: toward zero."""
    return np.sign(values) * (np.abs(values) // divisor)


def high_product(a: Any, b: Any) -> np.ndarray:
    """(a * b) / 2^31 of 32-bit values, rounded, halves up, in 32 bits: gemmlowp's SaturatingRoundingDoublingHighMul."""
    return np.minimum((np.asarray(a, np.int64) * b + (1 << 30)) >> 31, INT32_MAX)


def divide_by_power(values: Any, exponent: Any) -> np.ndarray:
    """x / 2^exponent, rounded, halves away from zero: gemmlowp's RoundingDivideByPOT."""
    values, exponent = np.asarray(values, np.int64), np.asarray(exponent, np.int64)
    mask = (np.int64(1) << exponent) - 1
    return (values >> exponent) + ((values & mask) > (mask >> 1) + (values < 0))


def requantize32(values: Any, by: Multipliers) -> np.ndarray:
    """32-bit values times their factors: rounded twice, first to 31 fractional bits, then to whole numbers."""
    left, right = np.maximum(by.shifts, 0), np.maximum(-by.shifts, 0)
    return divide_by_power(high_product(wrap32(np.asarray(values, np.int64) << left), by.values), right)


def requantize64(values: Any, by: Multipliers) -> np.ndarray:
    """64-bit sums times their factors cut to 15 bits: rounded once, halves up; the result wraps in 32 bits."""
    reduced = np.where(by.values < _LARGEST_REDUCED, (by.values + (1 << 15)) >> 16, 0x7FFF)
    places = 15 - by.shifts
    return wrap32((np.asarray(values, np.int64) * reduced + (np.int64(1) << (places - 1))) >> places)


def limits(dtype: str) -> tuple[int, int]:
    """Least and greatest value of an integer type."""
    return int(np.iinfo(dtype).min), int(np.iinfo(dtype).max)


def finish(values: np.ndarray, zero_point: int, low: int, high: int, dtype: str) -> np.ndarray:
    """Requantized values as an output: with its zero point, cut to a range."""
    return np.clip(values + zero_point, low, high).astype(dtype)
