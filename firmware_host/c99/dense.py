"""FULLY_CONNECTED and BATCH_MATMUL in C."""

from __future__ import annotations

import math
from typing import Any

from keras_mtl.firmware_host.c99.layer import (
    Layer,
    Source,
    element_bytes,
    elements,
    largest,
    output_fields,
    packed,
    strides_of,
    zero_point,
)
from keras_mtl.firmware_host.reference import Node, Tensor

_GROUP = 4


def dense(node: Node, kernel: Any) -> Layer:
    """FULLY_CONNECTED."""
    data, weights, output = node.input(0), node.constant(1), node.output
    outputs, inputs = weights.shape
    bias = node.constant(2) if node.optional(2) is not None else None
    described, arrays = output_fields(node, kernel.accumulator, weights, bias, outputs, largest(data))
    arrays["weights"] = packed(weights[:, None], _GROUP)
    padded = -(-inputs // 4) * 4
    fields = {
        "output": described,
        "weights": "weights",
        "rows": elements(output) // outputs,
        "inputs": inputs,
        "padded": padded,
        "outputs": outputs,
        "in_zero": zero_point(data),
    }
    direct = data.dtype == "int16" and inputs == padded
    call = f"kmtl_nn_dense(&{{self}}, {{a}}, {{out}}, {'NULL' if direct else '{scratch}'});"
    scratch = 0 if direct else 2 * padded
    return Layer(node, call, (Source(data),), (output,), "kmtl_nn_dense_t", fields, arrays, scratch)


def matmul(node: Node, kernel: Any, sources: tuple[Tensor, Tensor], swapped: tuple[bool, bool]) -> Layer:
    """BATCH_MATMUL.

    Args:
        node: the operator.
        kernel: of the reference.
        sources: both factors, which may be those before a TRANSPOSE of their last two dimensions.
        swapped: of both, whether their last two dimensions are to be taken in the other order.
    """
    left, right = sources
    output = node.output
    rows, columns = output.shape[-2:]
    depth = left.shape[-2] if swapped[0] else left.shape[-1]
    batches = math.prod(output.shape[:-2])
    strides = []
    for tensor, turned, is_right in ((left, swapped[0], False), (right, swapped[1], True)):
        count = math.prod(tensor.shape[:-2])
        node.require(count in (1, batches), f"factors of {count} and {batches} matrices")
        outer, inner = strides_of(tensor.shape)[-2:]
        # Of the left factor rows come first, of the right one the depth.
        first = inner if turned != is_right else outer
        strides.append([0 if count == 1 else elements(tensor) // count, first, outer + inner - first])
    most = depth * largest(left) * largest(right)
    described, arrays = output_fields(node, kernel.accumulator, None, None, 1, most)
    fields = {
        "output": described,
        "batches": batches,
        "rows": rows,
        "columns": columns,
        "depth": depth,
        "left_strides": strides[0],
        "right_strides": strides[1],
        "left_zero": zero_point(left),
        "right_zero": zero_point(right),
    }
    node.require(element_bytes(left) == element_bytes(right) == element_bytes(output), "factors of several types")
    call = "kmtl_nn_matmul(&{self}, {a}, {b}, {out});"
    return Layer(node, call, (Source(left), Source(right)), (output,), "kmtl_nn_matmul_t", fields, arrays)


def is_swap(axes: tuple[int, ...]) -> bool:
    """Whether a TRANSPOSE swaps the last two dimensions and no other."""
    last = len(axes) - 1
    return last > 0 and axes == (*range(last - 1), last, last - 1)
