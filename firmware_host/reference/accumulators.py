"""What becomes of sums of products: bias, factor, zero point, range."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from keras_mtl.firmware_host.reference.arithmetic import (
    MOST_SHIFT_32,
    MOST_SHIFT_64,
    Multipliers,
    finish,
    requantize32,
    requantize64,
    wrap32,
)
from keras_mtl.firmware_host.reference.node import Node, Tensor

#: Types of bias that the kernels read rightly with int16 data; of others INT64.
_BIASES_OF_INT16 = {
    "CONV_2D": ("int64", "int32"),
    "FULLY_CONNECTED": ("int64", "int32"),
    "TRANSPOSE_CONV": ("int64", "int16"),
}


@dataclass(frozen=True, eq=False)
class Accumulator:
    """Sums of products of data and weights, as they become an output.

    Attributes:
        bits: of the sums: 32 wrap and are rounded twice, 64 are rounded once by factors of 15 bits.
        input_offset: what is added to the data before they are multiplied.
        multipliers: factors from sums to outputs, one or one for each output channel.
        output_offset: zero point of the output.
        low, high: its range.
        dtype: its type.
    """

    bits: int
    input_offset: int
    multipliers: Multipliers
    output_offset: int
    low: int
    high: int
    dtype: str

    def shifted(self, data: np.ndarray) -> np.ndarray:
        """The data with their offset as float64, in which their sums of products are exact up to 2^30 products."""
        return data.astype(np.float64) + self.input_offset

    def outputs(self, sums: np.ndarray, bias: np.ndarray | None) -> np.ndarray:
        """Whole sums [..., channels] as the output."""
        whole = sums.astype(np.int64)
        if bias is not None:
            whole = whole + bias.reshape(-1).astype(np.int64)
        scaled = (
            requantize32(wrap32(whole), self.multipliers) if self.bits == 32 else requantize64(whole, self.multipliers)
        )
        return finish(scaled, self.output_offset, self.low, self.high, self.dtype)


def accumulator(
    node: Node, data: Tensor, weights: Tensor, bias: Tensor | None, axis: int, activation: int
) -> Accumulator:
    """Prepares what a layer with weights does with its sums.

    Args:
        node: the layer.
        data: its input.
        weights: int8.
        bias: None for none.
        axis: of the weights on which the output channels lie.
        activation: fused.
    """
    output = node.output
    dtype = node.require_types(data, output)
    node.require(weights.dtype == "int8", f"no kernel for {data.dtype} data and {weights.dtype} weights")
    node.symmetric(weights)
    scales, channels = node.scales(weights), weights.shape[axis]
    fits = len(scales) == 1 or (len(scales) == channels and weights.axis == axis)
    node.require(fits, f"{len(scales)} steps on axis {weights.axis} of weights {list(weights.shape)}")
    bits = _bits(node, dtype, bias)
    if bias is not None:
        node.require(int(np.prod(bias.shape)) == channels, f"a bias {list(bias.shape)} for {channels} channels")
    real = np.float64(node.scale(data)) * scales.astype(np.float64) / np.float64(node.scale(output))
    made = node.factors(real, MOST_SHIFT_32 if bits == 32 else MOST_SHIFT_64)
    low, high = node.activation_range(output, activation)
    return Accumulator(bits, -node.zero_point(data), made, node.zero_point(output), low, high, dtype)


def _bits(node: Node, dtype: str, bias: Tensor | None) -> int:
    """Bits of the sums: 64 of int16 data, unless their bias is INT32, or would be one if there were any."""
    kinds = _BIASES_OF_INT16.get(node.op, ("int64",)) if dtype == "int16" else ("int32",)
    if bias is not None:
        node.require(bias.dtype in kinds, f"no kernel for {dtype} data and a bias of {bias.dtype}", f"use {kinds[0]}")
        return 32 if bias.dtype == "int32" else 64
    planned = "int32" in kinds and getattr(node.options, "quantizedBiasType", None) == schema.TensorType.INT32
    return 32 if dtype == "int8" or planned else 64
