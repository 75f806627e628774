"""ADD, SUB and MUL, of shapes that broadcast."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from keras_mtl.firmware_host.reference.arithmetic import (
    MOST_SHIFT_32,
    Multipliers,
    finish,
    multipliers,
    requantize32,
    wrap32,
)
from keras_mtl.firmware_host.reference.node import Node, Tensor

#: By how many bits values are shifted to the left before they are brought to a common step.
_LEFT_SHIFT = {"int8": 20, "int16": 15}
_MOST_AXES = 6


@dataclass(frozen=True, eq=False)
class Sum:
    """ADD or SUB: both inputs, shifted to the left, get a common step of twice the larger one.

    Attributes:
        sign: 1 of ADD, -1 of SUB.
        left_shift: by so many bits.
        offsets: what is added to each input.
        multipliers: factor of each input.
        output_multiplier: factor of their sum.
        output_offset: zero point of the output.
        low, high: its range.
        dtype: of all.
    """

    sign: int
    left_shift: int
    offsets: tuple[int, int]
    multipliers: tuple[Multipliers, Multipliers]
    output_multiplier: Multipliers
    output_offset: int
    low: int
    high: int
    dtype: str

    def __call__(self, *inputs: np.ndarray) -> tuple[np.ndarray]:
        """Two arrays whose shapes broadcast."""
        first, second = (
            requantize32((values.astype(np.int64) + offset) << self.left_shift, by)
            for values, offset, by in zip(inputs, self.offsets, self.multipliers, strict=True)
        )
        scaled = requantize32(first + self.sign * second, self.output_multiplier)
        return (finish(scaled, self.output_offset, self.low, self.high, self.dtype),)


def addition(node: Node) -> Sum:
    """Prepares an ADD."""
    return _sum(node, 1)


def subtraction(node: Node) -> Sum:
    """Prepares a SUB."""
    return _sum(node, -1)


def _sum(node: Node, sign: int) -> Sum:
    first, second, output = _operands(node)
    left_shift = _LEFT_SHIFT[output.dtype]
    steps = [np.float64(node.scale(tensor)) for tensor in (first, second, output)]
    twice = 2 * max(steps[:2])
    below_one = [steps[0] / twice, steps[1] / twice, twice / ((1 << left_shift) * steps[2])]
    node.require(
        all(0 < factor < 1 for factor in below_one),
        f"the step of its output is below 1 / {1 << left_shift - 1} of its inputs': TFLM ends the program there",
    )
    made = [multipliers(factor) for factor in below_one]
    offsets = (-node.zero_point(first), -node.zero_point(second))
    low, high = node.activation_range(output, node.options.fusedActivationFunction)
    return Sum(
        sign, left_shift, offsets, (made[0], made[1]), made[2], node.zero_point(output), low, high, output.dtype
    )  # fmt: skip


@dataclass(frozen=True, eq=False)
class Product:
    """MUL.

    Attributes:
        offsets: what is added to each input.
        multipliers: factor of their product.
        output_offset: zero point of the output.
        low, high: its range.
        dtype: of all.
    """

    offsets: tuple[int, int]
    multipliers: Multipliers
    output_offset: int
    low: int
    high: int
    dtype: str

    def __call__(self, *inputs: np.ndarray) -> tuple[np.ndarray]:
        """Two arrays whose shapes broadcast."""
        first, second = (values.astype(np.int64) + offset for values, offset in zip(inputs, self.offsets, strict=True))
        scaled = requantize32(wrap32(first * second), self.multipliers)
        return (finish(scaled, self.output_offset, self.low, self.high, self.dtype),)


def multiplication(node: Node) -> Product:
    """Prepares a MUL."""
    first, second, output = _operands(node)
    steps = [np.float64(node.scale(tensor)) for tensor in (first, second, output)]
    made = node.factors(steps[0] * steps[1] / steps[2], MOST_SHIFT_32)
    low, high = node.activation_range(output, node.options.fusedActivationFunction)
    offsets = (-node.zero_point(first), -node.zero_point(second))
    return Product(offsets, made, node.zero_point(output), low, high, output.dtype)


def _operands(node: Node) -> tuple[Tensor, Tensor, Tensor]:
    """Both inputs and the output, whose shapes and types fit."""
    first, second, output = node.input(0), node.input(1), node.output
    node.require_types(first, second, output)
    try:
        shape = np.broadcast_shapes(first.shape, second.shape)
    except ValueError:
        raise node.refusal(f"shapes {list(first.shape)} and {list(second.shape)} do not broadcast") from None
    node.require(len(shape) <= _MOST_AXES, f"more than {_MOST_AXES} axes")
    node.require_shape(output, shape)
    return first, second, output
