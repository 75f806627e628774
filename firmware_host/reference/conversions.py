"""QUANTIZE and DEQUANTIZE."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from keras_mtl.firmware_host.reference.arithmetic import (
    MOST_SHIFT_32,
    Multipliers,
    finish,
    limits,
    requantize32,
    round_half_away,
)
from keras_mtl.firmware_host.reference.node import Node

_REQUANTIZED = {
    ("int8", "int8"), ("int8", "int16"), ("int8", "int32"), ("int8", "uint8"), ("uint8", "int8"),
    ("int16", "int8"), ("int16", "int16"), ("int16", "int32"), ("int32", "int8"), ("int32", "int16"),
}  # fmt: skip


@dataclass(frozen=True)
class Quantize:
    """QUANTIZE of real values: x / step in float32, halves away from zero.

    Attributes:
        scale, zero_point: of the output.
        dtype: of the output.
    """

    scale: np.float32
    zero_point: int
    dtype: str

    def __call__(self, data: np.ndarray) -> tuple[np.ndarray]:
        """Data float32; what is no number becomes the zero point."""
        whole = np.nan_to_num(round_half_away(data / self.scale)).astype(np.float64) + self.zero_point
        return (np.clip(whole, *limits(self.dtype)).astype(self.dtype),)


@dataclass(frozen=True, eq=False)
class Requantize:
    """QUANTIZE of integers.

    Attributes:
        input_offset: what is added to the data.
        multipliers: the factor.
        output_offset: zero point of the output.
        dtype: of the output.
    """

    input_offset: int
    multipliers: Multipliers
    output_offset: int
    dtype: str

    def __call__(self, data: np.ndarray) -> tuple[np.ndarray]:
        """Data of any shape."""
        scaled = requantize32(data.astype(np.int64) + self.input_offset, self.multipliers)
        return (finish(scaled, self.output_offset, *limits(self.dtype), self.dtype),)


@dataclass(frozen=True)
class Dequantize:
    """DEQUANTIZE: step * (integer - zero point) in float64, rounded to float32.

    Attributes:
        scale, zero_point: of the input.
    """

    scale: np.float64
    zero_point: int

    def __call__(self, data: np.ndarray) -> tuple[np.ndarray]:
        """Data of any shape."""
        return ((self.scale * (data.astype(np.int64) - self.zero_point)).astype(np.float32),)


def quantize(node: Node) -> Quantize | Requantize:
    """Prepares a QUANTIZE."""
    data, output = node.input(0), node.output
    node.require_shape(output, data.shape)
    node.require(len(node.scales(output)) == 1, "no kernel for several steps")
    if data.dtype == "float32":
        node.require(output.dtype in ("int8", "int16"), f"no kernel for float32 to {output.dtype}")
        return Quantize(node.scale(output), node.zero_point(output), output.dtype)
    node.require((data.dtype, output.dtype) in _REQUANTIZED, f"no kernel for {data.dtype} to {output.dtype}")
    real = np.float64(node.scale(data)) / np.float64(node.scale(output))
    zeros = -node.zero_point(data), node.zero_point(output)
    return Requantize(zeros[0], node.factors(real, MOST_SHIFT_32), zeros[1], output.dtype)


def dequantize(node: Node) -> Dequantize:
    """Prepares a DEQUANTIZE."""
    data, output = node.input(0), node.output
    node.require_shape(output, data.shape)
    fits = data.dtype in ("int8", "uint8", "int16") and output.dtype == "float32"
    node.require(fits, f"no kernel for {data.dtype} to {output.dtype}")
    return Dequantize(np.float64(node.scale(data)), node.zero_point(data))
