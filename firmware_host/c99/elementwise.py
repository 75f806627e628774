"""Layers that compute element by element in C: sums, products, functions, other steps, softmax."""

from __future__ import annotations

from typing import Any

import numpy as np

from keras_mtl.firmware_host.c99.layer import (
    Layer,
    Source,
    element_bytes,
    elements,
    four,
    largest,
    strides_of,
    zero_point,
)
from keras_mtl.firmware_host.reference import Node, Tensor

_MOST_32 = 1 << 31


def sum_of_two(node: Node, kernel: Any) -> Layer:
    """ADD and SUB."""
    first, second, output = node.input(0), node.input(1), node.output
    by = (*kernel.multipliers, kernel.output_multiplier)
    fields = {
        "pairs": _pairs(node),
        "bytes": element_bytes(output),
        "subtract": int(kernel.sign < 0),
        "left": kernel.left_shift,
        "zeros": [zero_point(first), zero_point(second), kernel.output_offset],
        "multipliers": [each.one[0] for each in by],
        "shifts": [each.one[1] for each in by],
        "lowest": kernel.low,
        "highest": kernel.high,
    }
    return _of_two(node, "kmtl_nn_sum", fields)


def product(node: Node, kernel: Any) -> Layer:
    """MUL."""
    first, second, output = node.input(0), node.input(1), node.output
    multiplier, shift = kernel.multipliers.one
    fields = {
        "pairs": _pairs(node),
        "bytes": element_bytes(output),
        "wide": int(largest(first) * largest(second) << max(shift, 0) >= _MOST_32 or shift < -30),
        "zeros": [zero_point(first), zero_point(second), kernel.output_offset],
        "multiplier": multiplier,
        "shift": shift,
        "lowest": kernel.low,
        "highest": kernel.high,
    }
    return _of_two(node, "kmtl_nn_product", fields)


def _of_two(node: Node, function: str, fields: dict[str, Any]) -> Layer:
    sources = tuple(node.input(place) for place in (0, 1))
    over = tuple(place for place, source in enumerate(sources) if source.shape == node.output.shape)
    call = f"{function}(&{{self}}, {{a}}, {{b}}, {{out}});"
    return Layer(
        node, call, tuple(map(Source, sources)), (node.output,), f"{function}_t", fields, in_place=over
    )  # fmt: skip


def _pairs(node: Node) -> dict[str, Any]:
    shape = node.output.shape
    node.require(len(shape) <= 4, "more than 4 dimensions")
    inputs = [node.input(place) for place in (0, 1)]
    strides = []
    for tensor in inputs:
        own = four(tensor.shape, 1)
        strides.append([0 if size == 1 else stride for size, stride in zip(own, strides_of(own), strict=True)])
    flat = all(tensor.shape == shape for tensor in inputs)
    return {"shape": four(shape, 1), "strides": strides, "flat": int(flat)}


def function(node: Node, kernel: Any) -> Layer:
    """LOGISTIC, TANH, RELU, RELU6, and QUANTIZE of integers: all that a table or one factor gives."""
    data, output = node.input(0), node.output
    types, count = (data.dtype, output.dtype), elements(output)
    if types == ("int8", "int8"):
        values = np.arange(-128, 128)
        # A root of what is below 0 is none: TensorFlow Lite Micro stops there, and C goes on as for 0.
        (table,) = kernel((np.maximum(values, zero_point(data)) if node.op == "RSQRT" else values).astype(np.int8))
        call = f"kmtl_nn_table({{table}}, {{a}}, {count}u, {{out}});"
        return Layer(node, call, (Source(data),), (output,), arrays={"table": table}, in_place=(0,))
    if node.op in ("LOGISTIC", "TANH"):
        fields = {
            "count": count,
            "multiplier": kernel.multiplier,
            "shift": kernel.shift,
            "tanh": int(node.op == "TANH"),
        }
        call = "kmtl_nn_sigmoid(&{self}, {a}, {out});"
        return Layer(node, call, (Source(data),), (output,), "kmtl_nn_sigmoid_t", fields, in_place=(0,))
    node.require(node.op not in ("RSQRT", "LEAKY_RELU"), "no code for 16 bits")
    node.require({*types} <= {"int8", "int16"}, f"no code for {types[0]} to {types[1]}")
    return _requantized(node, kernel, data, output)


def _requantized(node: Node, kernel: Any, data: Tensor, output: Tensor) -> Layer:
    limits = np.iinfo(output.dtype)
    lowest, highest = getattr(kernel, "low", limits.min), getattr(kernel, "high", limits.max)
    by = getattr(kernel, "multipliers", None)
    # A kernel without a factor only cuts to a range: a factor of 1 is exact.
    multiplier, shift = (1 << 30, 1) if by is None else by.one
    fields = {
        "count": elements(output),
        "in_bytes": element_bytes(data),
        "out_bytes": element_bytes(output),
        "in_zero": zero_point(data),
        "out_zero": getattr(kernel, "output_offset", zero_point(data)),
        "multiplier": multiplier,
        "shift": shift,
        "lowest": int(lowest),
        "highest": int(highest),
    }
    call = "kmtl_nn_requantize(&{self}, {a}, {out});"
    over = (0,) if data.dtype == output.dtype else ()
    return Layer(node, call, (Source(data),), (output,), "kmtl_nn_requantize_t", fields, in_place=over)


def softmax(node: Node, kernel: Any) -> Layer:
    """SOFTMAX over the last dimension."""
    data, output = node.input(0), node.output
    node.require(data.dtype == output.dtype, f"no code for {data.dtype} to {output.dtype}")
    depth, bits = data.shape[-1], 8 * element_bytes(data)
    fields: dict[str, Any] = {"rows": elements(data) // depth, "depth": depth}
    if bits == 8:
        exps = kernel.powers(-np.arange(min(256, 1 - kernel.least))).astype(np.int32)
        arrays = {"exps": exps}
        fields |= {"exps": "exps", "count": len(exps)}
    else:
        arrays = {"exp_lut": kernel.exp.astype(np.int16), "inverse_lut": kernel.reciprocal.astype(np.int16)}
        multiplier, shift = kernel.multipliers.one
        fields |= {"exp_lut": "exp_lut", "inverse_lut": "inverse_lut", "multiplier": multiplier, "shift": shift}
    call = f"kmtl_nn_softmax_int{bits}(&{{self}}, {{a}}, {{out}});"
    return Layer(node, call, (Source(data),), (output,), "kmtl_nn_softmax_t", fields, arrays, in_place=(0,))
