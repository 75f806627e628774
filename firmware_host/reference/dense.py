"""FULLY_CONNECTED."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from keras_mtl.firmware_host.reference.accumulators import Accumulator, accumulator
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
        node.require(off <= _BIAS_TOLERANCE, "the step of its bias is not the product of those of data and weights")
    made = accumulator(node, data, weights, bias, 0, node.options.fusedActivationFunction)
    return Dense(output.shape, made)
