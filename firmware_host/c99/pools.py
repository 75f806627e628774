"""Pools, and sums over dimensions, in C."""

from __future__ import annotations

from typing import Any

from keras_mtl.firmware_host.c99.layer import Layer, Source, element_bytes, four, strides_of
from keras_mtl.firmware_host.reference import Node


def pool(node: Node, kernel: Any) -> Layer:
    """MAX_POOL_2D and AVERAGE_POOL_2D."""
    data, output = node.input(0), node.output
    node.require(data.shape[0] == 1, f"a batch of {data.shape[0]}, where the generated code has 1")
    fields = {
        "in_height": data.shape[1],
        "in_width": data.shape[2],
        "channels": data.shape[3],
        "out_height": output.shape[1],
        "out_width": output.shape[2],
        "window_height": kernel.rows.size,
        "window_width": kernel.columns.size,
        "stride_height": kernel.rows.stride,
        "stride_width": kernel.columns.stride,
        "pad_top": kernel.rows.before,
        "pad_left": kernel.columns.before,
        "bytes": element_bytes(output),
        "mean": int(node.op == "AVERAGE_POOL_2D"),
        "lowest": kernel.low,
        "highest": kernel.high,
    }
    return Layer(node, "kmtl_nn_pool(&{self}, {a}, {out});", (Source(data),), (output,), "kmtl_nn_pool_t", fields)


def reduction(node: Node, kernel: Any) -> Layer:
    """MEAN and SUM."""
    data, output = node.input(0), node.output
    axes, shape, strides = kernel.axes, data.shape, strides_of(data.shape)
    kept = [axis for axis in range(len(shape)) if axis not in axes]
    node.require(max(len(kept), len(axes)) <= 4, "more than 4 dimensions")
    multiplier, shift = kernel.multipliers.one
    fields = {
        "kept": four([shape[axis] for axis in kept], 1),
        "kept_strides": four([strides[axis] for axis in kept], 0),
        "summed": four([shape[axis] for axis in axes], 1),
        "summed_strides": four([strides[axis] for axis in axes], 0),
        "bytes": element_bytes(output),
        "offset": kernel.input_offset,
        "zero": kernel.output_offset,
        "multiplier": multiplier,
        "shift": shift,
    }
    return Layer(node, "kmtl_nn_reduce(&{self}, {a}, {out});", (Source(data),), (output,), "kmtl_nn_reduce_t", fields)
