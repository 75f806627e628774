"""Layers that only move elements, in C."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from keras_mtl.firmware_host.c99.layer import Layer, Source, element_bytes, elements, four, strides_of
from keras_mtl.firmware_host.reference import Node, Tensor


def block(
    node: Node,
    tensors: tuple[Tensor, Tensor],
    shape: Sequence[int],
    in_strides: Sequence[int],
    out_strides: Sequence[int],
    starts: tuple[int, int] = (0, 0),
) -> Layer:
    """Moves a block of elements.

    Args:
        node: the operator.
        tensors: from which and into which.
        shape: of the block.
        in_strides: elements of the source from one place of each of the block's dimensions to the next.
        out_strides: the same of the output.
        starts: elements before it in both.
    """
    width = element_bytes(tensors[0])
    run, sizes, ins, outs = _joined(shape, in_strides, out_strides)
    node.require(len(sizes) <= 4, "a block of more than 4 dimensions")
    fields = {
        "shape": four(sizes, 1),
        "in_strides": four([each * width for each in ins], 0),
        "out_strides": four([each * width for each in outs], 0),
        "run": run * width,
    }
    places = [f"kmtl_nn_at{end}({name}, {start}u, {width}u)" for end, name, start in
              (("_const", "{a}", starts[0]), ("", "{out}", starts[1]))]  # fmt: skip
    call = f"kmtl_nn_move(&{{self}}, {places[0] if starts[0] else '{a}'}, {places[1] if starts[1] else '{out}'});"
    return Layer(node, call, (Source(tensors[0]),), (tensors[1],), "kmtl_nn_move_t", fields)


def _joined(
    shape: Sequence[int], ins: Sequence[int], outs: Sequence[int]
) -> tuple[int, list[int], list[int], list[int]]:
    """What lies together in both: elements of a run, and the dimensions that are left, without those of one place."""
    kept = [(n, i, o) for n, i, o in zip(shape, ins, outs, strict=True) if n != 1]
    run = 1
    while kept and kept[-1][1] == kept[-1][2] == run:
        run *= kept.pop()[0]
    merged: list[tuple[int, int, int]] = []
    for n, i, o in kept:
        if merged and merged[-1][1] == i * n and merged[-1][2] == o * n:
            merged[-1] = (merged[-1][0] * n, i, o)
        else:
            merged.append((n, i, o))
    return run, [n for n, _, _ in merged], [i for _, i, _ in merged], [o for _, _, o in merged]


def transpose(node: Node, kernel: Any) -> list[Layer]:
    """TRANSPOSE."""
    data, output = node.input(0), node.output
    strides = strides_of(data.shape)
    return [
        block(node, (data, output), output.shape, [strides[axis] for axis in kernel.axes], strides_of(output.shape))
    ]


def strided_slice(node: Node, kernel: Any) -> list[Layer]:
    """STRIDED_SLICE."""
    data, output, strides = node.input(0), node.output, strides_of(node.input(0).shape)
    node.require(all(step > 0 for _, _, step in kernel.slices), "no code for a negative stride")
    start = sum(first * stride for (first, _, _), stride in zip(kernel.slices, strides, strict=True))
    shape = [max(0, -((first - end) // step)) for first, end, step in kernel.slices]
    steps = [step * stride for (_, _, step), stride in zip(kernel.slices, strides, strict=True)]
    return [block(node, (data, output), shape, steps, strides_of(shape), (start, 0))]


def concatenation(node: Node, kernel: Any) -> list[Layer]:
    """CONCATENATION: a move for each part."""
    output, first, found = node.output, 0, []
    inner = strides_of(output.shape)[kernel.axis]
    for place in range(len(node.inputs)):
        part = node.input(place)
        move = block(
            node, (part, output), part.shape, strides_of(part.shape), strides_of(output.shape), (0, first * inner)
        )
        found.append(move)
        first += part.shape[kernel.axis]
    return found


def split(node: Node, kernel: Any) -> list[Layer]:
    """SPLIT and SPLIT_V: a move for each part."""
    data, first, found = node.input(kernel.data), 0, []
    inner = strides_of(data.shape)[kernel.axis]
    for output in node.outputs:
        move = block(
            node, (data, output), output.shape, strides_of(data.shape), strides_of(output.shape), (first * inner, 0)
        )
        found.append(move)
        first += output.shape[kernel.axis]
    return found


def pad(node: Node, kernel: Any) -> list[Layer]:
    """PAD and PADV2 with a constant value: the output is filled, then the data are moved into it."""
    data, output = node.input(0), node.output
    value = kernel.value if kernel.value is not None else int(node.constant(2).reshape(-1)[0])
    strides = strides_of(output.shape)
    start = sum(before * stride for (before, _), stride in zip(kernel.paddings, strides, strict=True))
    fill = f"kmtl_nn_fill({{out}}, {elements(output)}u, {element_bytes(output)}u, {value});"
    return [
        Layer(node, fill, (), (output,)),
        block(node, (data, output), data.shape, strides_of(data.shape), strides, (0, start)),
    ]


def copy(node: Node, source: Source, output: Tensor, start: int) -> Layer:
    """Rows of a tensor into another one, `start` elements from its beginning on."""
    tensor = source.tensor
    row = row_elements(tensor)
    rows = tensor.shape[1] if source.rows is None else source.rows
    return block(node, (tensor, output), [rows * row], [1], [1], (source.first * row, start))


def row_elements(tensor: Tensor) -> int:
    """Elements of a row, a place of the second dimension; the first one has one place."""
    return math.prod(tensor.shape[2:])
