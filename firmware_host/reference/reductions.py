"""MEAN and SUM."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from keras_mtl.firmware_host.reference.arithmetic import (
    LEAST_SHIFT,
    MOST_SHIFT_32,
    Multipliers,
    finish,
    limits,
    requantize32,
    wrap32,
)
from keras_mtl.firmware_host.reference.node import Node


@dataclass(frozen=True, eq=False)
class Reduction:
    """MEAN or SUM: sums of the integers, less as many zero points, times a factor that divides by their number, too.

    Attributes:
        axes: that are summed up.
        input_offset: of each sum: the number of elements times the input's zero point, with its sign turned.
        multipliers: the factor.
        output_offset: zero point of the output.
        shape, dtype: of the output.
    """

    axes: tuple[int, ...]
    input_offset: int
    multipliers: Multipliers
    output_offset: int
    shape: tuple[int, ...]
    dtype: str

    def __call__(self, data: np.ndarray, *_: np.ndarray) -> tuple[np.ndarray]:
        """Data, and axes that are known already."""
        sums = wrap32(data.astype(np.int64).sum(axis=self.axes) + self.input_offset).reshape(self.shape)
        scaled = requantize32(sums, self.multipliers)
        return (finish(scaled, self.output_offset, *limits(self.dtype), self.dtype),)


def mean(node: Node) -> Reduction:
    """Prepares a MEAN."""
    return _reduction(node, divided=True)


def total(node: Node) -> Reduction:
    """Prepares a SUM."""
    return _reduction(node, divided=False)


def _reduction(node: Node, divided: bool) -> Reduction:
    data, output = node.input(0), node.output
    dtype = node.require_types(data, output)
    found, most = [int(axis) for axis in node.constant(1).reshape(-1)], len(data.shape)
    node.require(all(-most <= axis < most for axis in found), f"axes {found} of {most}")
    axes = tuple(sorted({axis % most for axis in found}))
    node.require(node.input(1).dtype == "int32", "axes that are not int32")
    kept = [1 if axis in axes else size for axis, size in enumerate(data.shape)]
    left = [size for axis, size in enumerate(data.shape) if axis not in axes]
    node.require_shape(output, kept if node.options.keepDims else left)
    count = int(np.prod([data.shape[axis] for axis in axes], dtype=np.int64))
    node.require(count > 0, "no elements")
    made = node.factors(np.float64(node.scale(data)) / np.float64(node.scale(output)), MOST_SHIFT_32)
    if divided:
        value, shift = made.one
        moved = min(count.bit_length() - 1, 32, shift - LEAST_SHIFT)
        made = Multipliers(np.array((value << moved) // count), np.array(shift - moved))
    offset = -node.zero_point(data) * count
    return Reduction(axes, offset, made, node.zero_point(output), output.shape, dtype)
