"""FULLY_CONNECTED and BATCH_MATMUL."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from keras_mtl.firmware_host.reference.accumulators import Accumulator, accumulator
from keras_mtl.firmware_host.reference.arithmetic import MOST_SHIFT_32, MOST_SHIFT_64, limits
from keras_mtl.firmware_host.reference.node import Node

#: By how much of an output's step a bias of 1 may differ from what its step says.
_BIAS_TOLERANCE = 0.02


@dataclass(frozen=True, eq=False)
class Dense:
    """FULLY_CONNECTED: data [..., depth] times weights [outputs, depth].

    Attributes:
        shape: of the output.
        accumulator: what becomes of the sums.
    """

    shape: tuple[int, ...]
    accumulator: Accumulator

    def __call__(self, data: np.ndarray, weights: np.ndarray, bias: np.ndarray | None = None) -> tuple[np.ndarray]:
        """Data of any shape whose rows are as long as those of the weights."""
        rows = self.accumulator.shifted(data).reshape(-1, weights.shape[-1])
        outputs = self.accumulator.outputs(rows @ weights.T.astype(np.float64), bias)
        return (outputs.reshape(self.shape),)


def dense(node: Node) -> Dense:
    """Prepares a FULLY_CONNECTED."""
    data, weights, bias, output = node.input(0), node.input(1), node.optional(2), node.output
    shuffled = node.options.weightsFormat != schema.FullyConnectedOptionsWeightsFormat.DEFAULT
    node.require(not shuffled, "no kernel for shuffled weights")
    node.require(len(weights.shape) == 2 and len(output.shape) > 0, f"weights of shape {list(weights.shape)}")
    outputs, depth = weights.shape
    rows = int(np.prod(output.shape[:-1]))
    fits = output.shape[-1] == outputs and int(np.prod(data.shape)) == rows * depth
    node.require(fits, f"{list(data.shape)} times {list(weights.shape)} do not give {list(output.shape)}")
    if bias is not None and len(node.scales(weights)) == 1:
        product = np.float64(node.scale(data)) * np.float64(node.scale(weights))
        off = abs(product - np.float64(0 if bias.scales is None else bias.scales[0])) / np.float64(node.scale(output))
        node.require(
            bool(off <= _BIAS_TOLERANCE), "the step of its bias is not the product of those of data and weights"
        )
    made = accumulator(node, data, weights, bias, 0, node.options.fusedActivationFunction)
    return Dense(output.shape, made)


@dataclass(frozen=True, eq=False)
class Matmul:
    """BATCH_MATMUL: products of the matrices in the last two axes; the axes before them broadcast.

    Attributes:
        turned: which of both inputs are transposed.
        second_offset: what is added to the second input.
        accumulator: what becomes of the sums; its offset is the first input's.
    """

    turned: tuple[bool, bool]
    second_offset: int
    accumulator: Accumulator

    def __call__(self, first: np.ndarray, second: np.ndarray) -> tuple[np.ndarray]:
        """Two arrays of the same type."""
        factors = [self.accumulator.shifted(first), second.astype(np.float64) + self.second_offset]
        factors = [np.swapaxes(f, -1, -2) if turned else f for f, turned in zip(factors, self.turned, strict=True)]
        return (self.accumulator.outputs(factors[0] @ factors[1], None),)


def matmul(node: Node) -> Matmul:
    """Prepares a BATCH_MATMUL."""
    first, second, output = node.input(0), node.input(1), node.output
    dtype = node.require_types(first, second, output)
    axes = [len(first.shape), len(second.shape)]
    node.require(min(axes) >= 2 and max(axes) <= 5, f"matrices of {axes[0]} and {axes[1]} axes: 2 to 5 are needed")
    turned = (bool(node.options.adjX), bool(node.options.adjY))
    rows, depth = first.shape[-2:][:: -1 if turned[0] else 1]
    other, columns = second.shape[-2:][:: -1 if turned[1] else 1]
    try:
        batches = np.broadcast_shapes(first.shape[:-2], second.shape[:-2])
    except ValueError:
        raise node.refusal(f"{list(first.shape)} and {list(second.shape)} do not broadcast") from None
    node.require(depth == other, f"{list(first.shape)} and {list(second.shape)} have no product")
    node.require_shape(output, (*batches, rows, columns))
    bits = 32 if dtype == "int8" else 64
    real = np.float64(node.scale(first)) * np.float64(node.scale(second)) / np.float64(node.scale(output))
    made = node.factors(real, MOST_SHIFT_32 if bits == 32 else MOST_SHIFT_64)
    zeros = -node.zero_point(first), -node.zero_point(second)
    sums = Accumulator(bits, zeros[0], made, node.zero_point(output), *limits(dtype), dtype)
    return Matmul(turned, zeros[1], sums)
