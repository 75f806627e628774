"""Scratch memory of CMSIS-NN's kernels: the sizes that its `*_get_buffer_size` functions give, by version and core.

Facts from github.com/ARM-software/CMSIS-NN: v4.0.0 (ca5dc343), v4.1.0 (61d1bb6c), v5.0.0 (bfc54edb), v6.0.0 (69823017),
v7.0.0 (22080c68), and 4ab83cc3, which TensorFlow Lite Micro of August 2026 pins; compiled with GCC (Arm Compiler's own
1x1 buffer is not here). A test holds the newest against Arm's functions themselves.
"""

from __future__ import annotations

from keras_mtl.firmware_host.arena.window import Window
from keras_mtl.firmware_host.targets import KernelBuild

#: Channels that a depthwise kernel of Helium takes at a time (CH_IN_BLOCK_MVE).
_DEPTHWISE_BLOCK = 124
#: Rows that a matrix product of Helium takes at a time.
_ROWS = 4
#: Channels above which a transposed convolution is computed as a convolution (REVERSE_TCOL_EFFICIENT_THRESHOLD).
_REVERSED_ABOVE = 16
_INT16, _INT32 = 2, 4


def convolution(layer: Window, wide: bool, build: KernelBuild) -> int:
    """Bytes of a CONV_2D with 8-bit weights; `wide`: with activations of 16 bits."""
    if wide:
        return _wide_columns(layer, build)
    # Since July 2026 a grouped convolution takes none of the short ways.
    plain = layer.channels == layer.filter_channels or build.version < (7, 0)
    if plain and layer.filter == (1, 1) and layer.padding == (0, 0) and layer.dilation == (1, 1):
        return 0
    if build.variant == "mve" and plain and _is_row(layer, build):
        return _row(layer, build)
    return _columns(layer.channels * layer.taps, build)


def depthwise(layer: Window, packed: bool, build: KernelBuild) -> int:
    """Bytes of a DEPTHWISE_CONV_2D with 8-bit activations; `packed`: with weights of four bits."""
    helium, single = build.variant == "mve", layer.channels == 1 and layer.outputs > 1
    if helium and single and not packed and build.version >= (7, 0):
        # Computed as a convolution, with a copy of its weights.
        return convolution(_of_one_channel(layer), False, build) + layer.outputs * layer.taps
    if layer.channels != layer.outputs or layer.batch != 1 or layer.dilation != (1, 1):
        return 0
    if helium:
        return _ROWS * _DEPTHWISE_BLOCK * layer.taps
    by_threes = layer.filter == (3, 3) and max(layer.padding) <= 1 and build.version >= (4, 1)
    if not packed and (build.variant == "c" or by_threes):
        return 0
    return layer.channels * layer.taps * _INT16


def transposed(layer: Window, build: KernelBuild) -> tuple[int, int] | None:
    """Bytes of a TRANSPOSE_CONV of 8 bits, of its two buffers; None of a version without such a kernel.

    `layer`: the image is what is read, `output` what is made.
    """
    if build.version < (5, 0):
        return None
    if build.version < (7, 0):
        return layer.taps * layer.input[0] * layer.input[1] * layer.outputs * _INT32, 0
    if max(layer.stride) <= 2 and layer.channels > _REVERSED_ABOVE:
        return _columns(layer.channels * layer.taps, build), layer.channels * layer.taps * layer.outputs
    # The library itself holds the width against the stride over the height.
    width = (layer.input[1] - 1) * layer.stride[1] + max(layer.filter[1], layer.stride[0])
    return width * layer.outputs * max(layer.filter[0], layer.stride[0]) * _INT32, 0


def dense(outputs: int, build: KernelBuild) -> int:
    """Bytes of sums of weights, of a FULLY_CONNECTED, BATCH_MATMUL or SVDF of 8 bits."""
    return outputs * _INT32 if build.variant == "mve" and build.version >= (5, 0) else 0


def average_pool(channels: int, build: KernelBuild) -> int:
    """Bytes of an AVERAGE_POOL_2D of 8 or 16 bits."""
    return channels * _INT32 if build.variant == "dsp" else 0


def _columns(depth: int, build: KernelBuild) -> int:
    """Windows laid out as columns of a matrix product: two as int16, or four as they are."""
    if build.variant == "mve":
        return _ROWS * _up(depth, 16 if build.version >= (6, 0) else 8)
    return 2 * _up(depth, 4 if build.version >= (5, 0) else 1) * _INT16


def _wide_columns(layer: Window, build: KernelBuild) -> int:
    depth = layer.channels * layer.taps
    if build.version >= (6, 0):
        return _ROWS * _up(depth, 8) * _INT16 if build.variant == "mve" else 2 * depth * _INT16
    fast = build.variant == "dsp" and depth < 512 and layer.dilation == (1, 1)
    return 2 * depth * _INT16 if fast else 0


def _is_row(layer: Window, build: KernelBuild) -> bool:
    if layer.input[0] != 1 or layer.filter[0] != 1 or layer.dilation[1] != 1:
        return False
    if build.version < (4, 1):
        return layer.output[1] % 4 == 0
    return layer.stride[1] * layer.channels % 4 == 0


def _row(layer: Window, build: KernelBuild) -> int:
    """A window over one row, with Helium: it needs room for the padding only."""
    if build.version < (6, 0):
        return 0
    pad, stride, columns = layer.padding[1], layer.stride[1], layer.output[1]
    total = (columns - 1) * stride + layer.filter[1] - layer.input[1]
    odd = abs(total) % 2 * (1 if total >= 0 else -1)  # C's remainder
    right = max(1, (pad + odd + stride - 1) // stride) if pad + odd else 0
    left = max(1, (pad + stride - 1) // stride) if pad else 0
    if right + max(columns - right - left, 0) + left != columns:
        return _columns(layer.channels * layer.taps, build)
    in_front, behind = pad, right if odd else pad
    return layer.channels * max(layer.filter[1] + in_front, layer.filter[1] - 1 + behind)


def _of_one_channel(layer: Window) -> Window:
    return Window(
        layer.batch, layer.input, 1, layer.filter, 1, layer.output, layer.outputs, layer.stride, layer.dilation,
        layer.padding,
    )  # fmt: skip


def _up(value: int, multiple: int) -> int:
    return -(-value // multiple) * multiple
