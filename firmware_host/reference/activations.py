"""LOGISTIC, TANH, RELU, RELU6, LEAKY_RELU and PRELU."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from keras_mtl.firmware_host.reference import fixed_point
from keras_mtl.firmware_host.reference.arithmetic import (
    MOST_SHIFT_32,
    Multipliers,
    divide_by_power,
    finish,
    limits,
    requantize32,
    round_half_away,
    wrap32,
)
from keras_mtl.firmware_host.reference.node import Node

#: Integer bits of the arguments of int8 functions.
_ARGUMENT_BITS = 4
#: Places of the sigmoid's table for each 1 of its argument.
_TABLE_STEPS = 24
#: Where TFLM's table is one above the nearest whole number.
_ONE_ABOVE = (
    4, 8, 12, 14, 15, 16, 17, 19, 20, 21, 22, 25, 27, 28, 29, 30, 31, 33, 34, 35, 37, 39, 40, 41, 43, 44, 45, 46, 49,
    50, 54, 62, 63, 64, 66, 82, 86, 93, 100, 103, 112, 116, 135, 255,
)  # fmt: skip
#: A step counts as a power of two where its logarithm is so near a whole number.
_POWER_TOLERANCE = 1e-3
_LARGEST_MULTIPLIER = 32767


def sigmoid_table() -> np.ndarray:
    """sigmoid(i / 24) * 2^16 of i in 0 .. 255, uint16, as TFLM's `sigmoid_table_uint16` has it."""
    table = round_half_away(2.0**16 / (1 + np.exp(-np.arange(256) / _TABLE_STEPS))).astype(np.int64)
    table[[*_ONE_ABOVE]] += 1
    return table.astype(np.uint16)


@dataclass(frozen=True, eq=False)
class Table8:
    """A function of int8 values by a table.

    Attributes:
        values: int8 [256], of the inputs -128 .. 127.
    """

    values: np.ndarray

    def __call__(self, data: np.ndarray) -> tuple[np.ndarray]:
        """Data int8 of any shape."""
        return (self.values[data.astype(np.int64) + 128],)


@dataclass(frozen=True, eq=False)
class Logistic16:
    """LOGISTIC of 16 bits, interpolated in a table of the sigmoid; the output has 15 fractional bits.

    Attributes:
        multiplier, shift: (x * multiplier + 2^(shift - 1)) >> shift counts in 1 / 512 of the table's places.
        table: `sigmoid_table`.
    """

    multiplier: int
    shift: int
    table: np.ndarray = field(repr=False)

    def __call__(self, data: np.ndarray) -> tuple[np.ndarray]:
        """Data int16 of any shape."""
        argument = _argument(data, self.multiplier, self.shift)
        size = np.abs(argument)
        result = np.where(size >> 9 >= 255, 0x7FFF << 10, _interpolated(self.table, size, 9))
        mirrored = (1 << 25) - result + (1 << 9) - 1
        return ((np.where(argument >= 0, result + (1 << 9), mirrored) >> 10).astype(np.int16),)


@dataclass(frozen=True, eq=False)
class Tanh16:
    """TANH of 16 bits, as 2 * sigmoid(2 x) - 1 by the table of `Logistic16`; the output has 15 fractional bits.

    Attributes:
        multiplier, shift: (x * multiplier + 2^(shift - 1)) >> shift counts in 1 / 256 of the table's places.
        table: `sigmoid_table`.
    """

    multiplier: int
    shift: int
    table: np.ndarray = field(repr=False)

    def __call__(self, data: np.ndarray) -> tuple[np.ndarray]:
        """Data int16 of any shape."""
        argument = _argument(data, self.multiplier, self.shift)
        size = np.abs(argument)
        result = np.where(size >> 8 >= 255, 0xFFFF << 8, _interpolated(self.table, size, 8))
        centred = np.where(argument >= 0, result - (1 << 23) + (1 << 7), -result + (1 << 23) + (1 << 7) - 1)
        return ((centred >> 8).astype(np.int16),)


def _argument(data: np.ndarray, multiplier: int, shift: int) -> np.ndarray:
    rounding = 1 << (shift - 1) if shift else 0
    return (data.astype(np.int64) * multiplier + rounding) >> shift


def _interpolated(table: np.ndarray, sizes: np.ndarray, bits: int) -> np.ndarray:
    """Values of the table at places with that many fractional bits, times 2^bits; ends in its last but one place."""
    place = np.minimum(sizes >> bits, 254)
    values = table.astype(np.int64)
    return (values[place] << bits) + (sizes & ((1 << bits) - 1)) * (values[place + 1] - values[place])


def logistic(node: Node) -> Table8 | Logistic16:
    """Prepares a LOGISTIC; of 8 bits its output has a zero point of -128 and, unseen by TFLM, a step of 1 / 256."""
    if node.require_types(node.input(0), node.output) == "int16":
        return Logistic16(*_table_factor(node, (0,)), sigmoid_table())
    node.require(node.zero_point(node.output) == -128, "the zero point of its output is not -128")
    return _table8(node, lambda x: divide_by_power(fixed_point.logistic(x, _ARGUMENT_BITS), 23) - 128)


def tanh(node: Node) -> Table8 | Tanh16:
    """Prepares a TANH; of 8 bits its output has, unseen by TFLM, a zero point of 0 and a step of 1 / 128."""
    if node.require_types(node.input(0), node.output) == "int16":
        return Tanh16(*_table_factor(node, (0, 1)), sigmoid_table())
    return _table8(node, lambda x: divide_by_power(fixed_point.tanh(x, _ARGUMENT_BITS), 24))


def _table8(node: Node, function: Callable[[np.ndarray], np.ndarray]) -> Table8:
    """The table of a function of fixed-point numbers that is saturated where its argument would be."""
    data = node.input(0)
    made = node.factors(np.float64(node.scale(data)) * 2.0 ** (31 - _ARGUMENT_BITS), MOST_SHIFT_32)
    shift = made.one[1]
    node.require(made.one[0] > 0 and shift >= 0, f"the step of its input is too small: {node.scale(data):g}")
    radius = (15 << (31 - _ARGUMENT_BITS)) >> shift
    centred = np.arange(-128, 128) - node.zero_point(data)
    values = np.clip(function(requantize32(centred, made)), -128, 127)
    values = np.where(centred <= -radius, -128, np.where(centred >= radius, 127, values))
    return Table8(values.astype(np.int8))


def _table_factor(node: Node, exact: tuple[int, ...]) -> tuple[int, int]:
    """Multiplier and shift from a 16-bit input to the table's places.

    `exact`: powers of two of 2^-12 for which the multiplier is 3 times the step, without a rounding.
    """
    data, output = node.input(0), node.output
    node.zero_point(data), node.zero_point(output)
    power, is_power = power_of_two(node.scale(output))
    node.require(is_power and power == -15, "the step of its output is not 2^-15")
    step = node.scale(data)
    power, is_power = power_of_two(step)
    if is_power and power + 12 in exact:
        return 3 << (power + 12), 0
    factor, shift = float(step) * 4096.0 * 3.0, 0
    while factor <= _LARGEST_MULTIPLIER / 2.0 and shift <= MOST_SHIFT_32:
        factor, shift = factor * 2.0, shift + 1
    node.require(1 <= factor < _LARGEST_MULTIPLIER + 1, f"no multiplier for the step of its input: {step:g}")
    return int(factor), shift


def power_of_two(step: np.float32) -> tuple[int, bool]:
    """The whole number nearest to a step's logarithm, and whether it is one."""
    logarithm = np.log(step) * (np.float32(1) / np.log(np.float32(2)))
    whole = round_half_away(logarithm)
    return int(whole), bool(abs(logarithm - whole) < _POWER_TOLERANCE)


@dataclass(frozen=True, eq=False)
class Relu:
    """RELU, with which the step may change.

    Attributes:
        input_offset: what is added to the data.
        multipliers: the factor.
        output_offset: zero point of the output.
        low, high: its range.
        dtype: of both.
    """

    input_offset: int
    multipliers: Multipliers
    output_offset: int
    low: int
    high: int
    dtype: str

    def __call__(self, data: np.ndarray) -> tuple[np.ndarray]:
        """Data of any shape."""
        scaled = requantize32(data.astype(np.int64) + self.input_offset, self.multipliers)
        return (finish(scaled, self.output_offset, self.low, self.high, self.dtype),)


@dataclass(frozen=True)
class Clip:
    """RELU6: the integers are cut to a range, and the step does not change.

    Attributes:
        low, high: the range.
    """

    low: int
    high: int

    def __call__(self, data: np.ndarray) -> tuple[np.ndarray]:
        """Data of any shape."""
        return (np.clip(data, self.low, self.high).astype(data.dtype),)


def relu(node: Node) -> Relu:
    """Prepares a RELU."""
    data, output = node.input(0), node.output
    dtype = node.require_types(data, output)
    node.require_shape(output, data.shape)
    made = node.factors(np.float64(node.scale(data)) / np.float64(node.scale(output)), MOST_SHIFT_32)
    zero, (low, high) = node.zero_point(output), limits(dtype)
    return Relu(-node.zero_point(data), made, zero, max(low, zero), high, dtype)


def relu6(node: Node) -> Clip:
    """Prepares a RELU6, which looks at its input's step and zero point only."""
    data, output = node.input(0), node.output
    low, high = limits(node.require_types(data, output))
    node.require_shape(output, data.shape)
    zero = node.zero_point(data)
    return Clip(zero, min(max(node.quantized(6.0, data), low), high))


@dataclass(frozen=True, eq=False)
class LeakyRelu:
    """LEAKY_RELU and PRELU: values below 0 have a factor of their own, and of PRELU a second one from an input.

    Attributes:
        input_offset: what is added to the data.
        multipliers: the factor from 0 on.
        negative: the factor below 0.
        sign: of that factor.
        slope_offset: of PRELU, what is added to the second input.
        output_offset: zero point of the output.
        dtype: of data and output.
    """

    input_offset: int
    multipliers: Multipliers
    negative: Multipliers
    sign: int
    slope_offset: int
    output_offset: int
    dtype: str

    def __call__(self, data: np.ndarray, slopes: np.ndarray | None = None) -> tuple[np.ndarray]:
        """Data of any shape and, of PRELU, slopes whose shape broadcasts to it."""
        centred = data.astype(np.int64) + self.input_offset
        below = centred if slopes is None else wrap32(centred * (slopes.astype(np.int64) + self.slope_offset))
        above, scaled = requantize32(centred, self.multipliers), self.sign * requantize32(below, self.negative)
        chosen = np.where(centred >= 0, above, scaled)
        return (finish(chosen, self.output_offset, *limits(self.dtype), self.dtype),)


def leaky_relu(node: Node) -> LeakyRelu:
    """Prepares a LEAKY_RELU, whose slope may be negative."""
    data, output, slope = node.input(0), node.output, np.float64(np.float32(node.options.alpha))
    node.require_shape(output, data.shape)
    return _leaky(node, slope, 0)


def prelu(node: Node) -> LeakyRelu:
    """Prepares a PRELU, whose slopes are int8."""
    data, slopes, output = node.input(0), node.input(1), node.output
    node.require(slopes.dtype == "int8", f"no kernel for slopes of {slopes.dtype}")
    node.require_shape(output, np.broadcast_shapes(data.shape, slopes.shape))
    return _leaky(node, np.float64(node.scale(slopes)), -node.zero_point(slopes))


def _leaky(node: Node, slope: np.float64, slope_offset: int) -> LeakyRelu:
    data, output = node.input(0), node.output
    dtype = node.require_types(data, output)
    step, result = np.float64(node.scale(data)), np.float64(node.scale(output))
    made = [node.factors(real, MOST_SHIFT_32) for real in (step / result, step * abs(slope) / result)]
    sign = -1 if slope < 0 else 1
    return LeakyRelu(
        -node.zero_point(data), made[0], made[1], sign, slope_offset, node.zero_point(output), dtype
    )  # fmt: skip
