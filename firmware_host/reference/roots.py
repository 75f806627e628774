"""RSQRT."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from keras_mtl.firmware_host.reference.arithmetic import (
    INT32_MAX,
    LEAST_SHIFT,
    MOST_SHIFT_32,
    Multipliers,
    divide_by_power,
    finish,
    high_product,
    limits,
    requantize32,
    wrap32,
)
from keras_mtl.firmware_host.reference.fixed_point import times_power
from keras_mtl.firmware_host.reference.node import Node

#: Fractional bits of the root itself, and 1.5 and the root of 1/2 with three integer bits and none.
_FRACTION_BITS, _HALF_THREE, _ROOT_OF_HALF = 20, (1 << 28) + (1 << 27), 1518500250


@dataclass(frozen=True, eq=False)
class ReciprocalRoot:
    """RSQRT: 1 / sqrt(x) by five steps of Newton's method; of 0 the greatest output.

    Attributes:
        node: itself.
        input_offset: what is added to the data.
        multipliers: factor from a root with 20 fractional bits to the output.
        output_offset: zero point of the output.
        dtype: of both.
    """

    node: Node
    input_offset: int
    multipliers: Multipliers
    output_offset: int
    dtype: str

    def __call__(self, data: np.ndarray) -> tuple[np.ndarray]:
        """Data of any shape, not below the zero point.

        Raises:
            EngineRefused: data below it, as TFLM refuses them.
        """
        values = data.astype(np.int64) + self.input_offset
        self.node.require(bool((values >= 0).all()), "a value below 0 has no root")
        low, high = limits(self.dtype)
        scaled = requantize32(reciprocal_root(np.maximum(values, 1)), self.multipliers)
        roots = finish(scaled, self.output_offset, low, high, self.dtype)
        return (np.where(values == 0, high, roots).astype(self.dtype),)


def reciprocal_root(values: np.ndarray) -> np.ndarray:
    """1 / sqrt(x) of integers in [1, 2^16), with 20 fractional bits: TFLM's `GetInvSqrtQuantizedMultiplierExp`."""
    # In pairs of bits up to [2^27, 2^29), which is a number in [1/2, 2) with three integer bits once halved.
    pairs = (31 - np.frexp(values.astype(np.float64))[1].astype(np.int64)) // 2 - 1
    number = (values << 2 * pairs) >> 1
    half = divide_by_power(number, 1)
    x = np.full(values.shape, 1 << 28, np.int64)
    for _ in range(5):
        cube = times_power(high_product(high_product(x, x), x), 6)
        x = times_power(high_product(_HALF_THREE, x) - high_product(half, cube), 3)
    x, shift = high_product(x, _ROOT_OF_HALF), 11 - pairs
    x = np.where(values == 1, INT32_MAX, wrap32(x << np.maximum(0, -shift)))
    shift = np.where(values == 1, 0, np.maximum(0, shift))
    return requantize32(np.ones_like(values), Multipliers(x, _FRACTION_BITS - shift))


def reciprocal_roots(node: Node) -> ReciprocalRoot:
    """Prepares an RSQRT."""
    data, output = node.input(0), node.output
    dtype = node.require_types(data, output)
    node.require_shape(output, data.shape)
    steps = np.sqrt(np.float64(node.scale(data))) * np.float64(node.scale(output))
    made = node.factors(1 / np.float64(steps), MOST_SHIFT_32)
    made = Multipliers(made.values, made.shifts - _FRACTION_BITS)
    node.require(made.one[1] >= LEAST_SHIFT, f"its steps are too large: {steps:g}")
    return ReciprocalRoot(node, -node.zero_point(data), made, node.zero_point(output), dtype)
