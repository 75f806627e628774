"""CONV_2D, DEPTHWISE_CONV_2D and TRANSPOSE_CONV in C, with the maximum that follows them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from keras_mtl.firmware_host.c99.layer import (
    Layer,
    Source,
    largest,
    output_fields,
    packed,
    zero_point,
)
from keras_mtl.firmware_host.reference import Node, Tensor

_GROUP = 2
#: A layer's own functions: the kernel's loops with its constants.
_OWN = (
    "static void row_{n}(const kmtl_nn_conv_t *self, int16_t *held, void *out);",
    """KMTL_NN_ALONE static void sums_{n}(const kmtl_nn_conv_t *self, const int16_t *a, const int16_t *b, int how,
                                      int32_t *sums) {{
  (void)self;
  kmtl_nn_conv_sums(&layer_{n}, a, b, how, sums);
}}

static void row_{n}(const kmtl_nn_conv_t *self, int16_t *held, void *out) {{
  (void)self;
  kmtl_nn_conv_row(&layer_{n}, sums_{n}, held, out);
}}
""",
)
#: Behind the last held row: a segment of packed weights may reach so many elements beyond it.
_BEYOND = 4


def convolution(
    node: Node,
    kernel: Any,
    sources: Sequence[Source],
    size: tuple[int, int],
    pads: tuple[int, int],
    pool: tuple[int, int],
    output: Tensor,
    limits: tuple[int, int],
) -> Layer:
    """A convolution whose input comes in parts.

    Args:
        node: CONV_2D or DEPTHWISE_CONV_2D.
        kernel: of the reference.
        sources: rows of the input, from the top.
        size: height and width of the input, without padding.
        pads: rows and columns of zeros before it.
        pool: height and width of the windows of which the maximum is taken.
        output: of the convolution, or of the pool.
        limits: of the output.
    """
    deep = node.op == "CONV_2D"
    images, weights = node.input(0), node.constant(1)
    node.require(images.shape[0] == 1, f"a batch of {images.shape[0]}, where the generated code has 1")
    node.require(not deep or kernel.groups == 1, f"{getattr(kernel, 'groups', 1)} groups of channels")
    rows, columns = kernel.rows, kernel.columns
    inputs, channels = images.shape[3], output.shape[3]
    held = (pool[0] - 1) * rows.stride + (rows.size - 1) * rows.dilation + 1
    padded = (output.shape[2] * pool[1] - 1) * columns.stride + (columns.size - 1) * columns.dilation + 1
    by_channel = weights if deep else weights[0].transpose(2, 0, 1)[..., None]
    bias = node.constant(2) if node.optional(2) is not None else None
    flat = by_channel.reshape(channels, -1)
    described, arrays = output_fields(node, kernel.accumulator, flat, bias, channels, largest(images))
    described |= {"lowest": limits[0], "highest": limits[1]}
    if deep:
        # A kernel's rows are read where they lie if all of them begin at multiples of 4 bytes.
        even = inputs * columns.stride % 2 == 0 and inputs * padded % 2 == 0
        gathered = columns.dilation > 1 or not even
        stretches = by_channel.reshape(channels, 1 if gathered else rows.size, -1)
        arrays["weights"], segment = packed(stretches, _GROUP), -(-stretches.shape[2] // 4) * 4
        segments = stretches.shape[1]
        room = 4 * channels + (2 * segment if gathered else 0)
    else:
        arrays["weights"], gathered, segment, segments, room = weights.reshape(-1), False, 0, 0, 2 * channels
    behind = -(-(held * padded * inputs + _BEYOND) // 4) * 4
    own = deep and not described["wide"]
    fields = {
        "output": described,
        **({"row": "row_{n}" if own else f"kmtl_nn_conv_{'wide' if described['wide'] else 'any'}_row"} if deep else {}),
        "weights": "weights",
        "in_height": size[0],
        "in_width": size[1],
        "in_channels": inputs,
        "out_height": output.shape[1],
        "out_width": output.shape[2],
        "out_channels": channels,
        "kernel_height": rows.size,
        "kernel_width": columns.size,
        "stride_height": rows.stride,
        "stride_width": columns.stride,
        "dilation_height": rows.dilation,
        "dilation_width": columns.dilation,
        "pad_top": pads[0],
        "pad_left": pads[1],
        "pool_height": pool[0],
        "pool_width": pool[1],
        "padded_width": padded,
        "held_rows": held,
        "segments": segments,
        "segment": segment,
        "gathered": int(gathered),
        "in_zero": zero_point(images),
        "held": behind,
    }
    over = len(sources) == 1 and sources[0].first == 0 and _may_lie_over(fields, output)
    return Layer(
        node,
        f"kmtl_nn_{'conv' if deep else 'depthwise'}(&{{self}}, {{parts}}, {{out}}, {{scratch}});",
        tuple(sources),
        (output,),
        "kmtl_nn_conv_t",
        fields,
        arrays,
        (behind + room) * 2,
        (0,) if over else (),
        _OWN if own else ("", ""),
    )


def _may_lie_over(fields: dict[str, Any], output: Tensor) -> bool:
    """Whether no row of results reaches rows of the input that are still to be read, both beginning at one place."""
    row, result = fields["in_width"] * fields["in_channels"], output.shape[2] * output.shape[3]
    ahead = fields["pool_height"] * fields["stride_height"]
    for y in range(fields["out_height"] - 1):
        read = min(fields["in_height"], y * ahead + fields["held_rows"] - fields["pad_top"])
        if (y + 1) * result > read * row:
            return False
    return True


def transposed(node: Node, kernel: Any) -> Layer:
    """TRANSPOSE_CONV."""
    weights, images, output = node.constant(1), node.input(2), node.output
    node.require(images.shape[0] == 1, f"a batch of {images.shape[0]}, where the generated code has 1")
    channels = output.shape[3]
    bias = node.constant(3) if node.optional(3) is not None else None
    flat = weights.reshape(channels, -1)
    described, arrays = output_fields(node, kernel.accumulator, flat, bias, channels, largest(images), always_wide=True)
    arrays["weights"] = weights.reshape(-1)
    fields = {
        "output": described,
        "weights": "weights",
        "in_height": images.shape[1],
        "in_width": images.shape[2],
        "in_channels": images.shape[3],
        "out_height": output.shape[1],
        "out_width": output.shape[2],
        "out_channels": channels,
        "kernel_height": weights.shape[1],
        "kernel_width": weights.shape[2],
        "stride_height": kernel.strides[0],
        "stride_width": kernel.strides[1],
        "dilation_height": 1,
        "dilation_width": 1,
        "pad_top": kernel.before[0],
        "pad_left": kernel.before[1],
        "pool_height": 1,
        "pool_width": 1,
        "in_zero": zero_point(images),
    }
    call = "kmtl_nn_conv_transposed(&{self}, {a}, {out}, {scratch64});"
    return Layer(node, call, (Source(images),), (output,), "kmtl_nn_conv_t", fields, arrays, 8 * channels)
