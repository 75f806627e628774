"""CONV_2D, DEPTHWISE_CONV_2D and TRANSPOSE_CONV."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from keras_mtl.firmware_host.reference.accumulators import Accumulator, accumulator
from keras_mtl.firmware_host.reference.node import Node, Tensor


@dataclass(frozen=True)
class Window:
    """Where a kernel lies on one axis of an image.

    Attributes:
        size: places of the kernel.
        stride, dilation: steps of the kernel, and between its places.
        before: how far its first place lies before the image.
        outputs: how many there are.
    """

    size: int
    stride: int
    dilation: int
    before: int
    outputs: int

    def reach(self) -> int:
        """Elements from the first that the kernel covers to the last."""
        return (self.outputs - 1) * self.stride + (self.size - 1) * self.dilation + 1


def window(node: Node, length: int, size: int, stride: int, dilation: int) -> Window:
    """The window on an axis of that length, with the padding of the node's options."""
    node.require(min(size, stride, dilation) > 0, "a kernel size, stride or dilation below 1")
    covered = (size - 1) * dilation + 1
    if node.options.padding == schema.Padding.SAME:
        outputs = -(-length // stride)
        missing = max(0, (outputs - 1) * stride + covered - length)
        return Window(size, stride, dilation, missing // 2, outputs)
    return Window(size, stride, dilation, 0, max(0, (length + stride - covered) // stride))


def padded(images: np.ndarray, rows: Window, columns: Window, beyond: float) -> np.ndarray:
    """Images [n, height, width, channels] with what windows cover beyond them."""
    widths = [(0, 0)]
    for axis, each in ((1, rows), (2, columns)):
        widths.append((each.before, max(0, each.reach() - each.before - images.shape[axis])))
    return np.pad(images, [*widths, (0, 0)], constant_values=beyond)


def places(images: np.ndarray, rows: Window, columns: Window) -> Iterator[tuple[int, int, np.ndarray]]:
    """Of padded images what lies below each place of the kernel, [n, rows' outputs, columns' outputs, channels]."""
    for y in range(rows.size):
        for x in range(columns.size):
            first, left = y * rows.dilation, x * columns.dilation
            below = images[:, first : first + (rows.outputs - 1) * rows.stride + 1 : rows.stride]
            yield y, x, below[:, :, left : left + (columns.outputs - 1) * columns.stride + 1 : columns.stride]


@dataclass(frozen=True, eq=False)
class Convolution:
    """CONV_2D: sums over a window and over the input channels of a group, the image being 0 beyond its ends.

    Attributes:
        rows, columns: its windows.
        groups: of channels.
        accumulator: what becomes of the sums.
    """

    rows: Window
    columns: Window
    groups: int
    accumulator: Accumulator

    def __call__(self, images: np.ndarray, weights: np.ndarray, bias: np.ndarray | None = None) -> tuple[np.ndarray]:
        """Images [n, height, width, channels], weights [outputs, rows, columns, channels a group]."""
        shifted = padded(self.accumulator.shifted(images), self.rows, self.columns, 0)
        count, outputs = weights.shape[3], weights.shape[0] // self.groups
        sums = []
        for group in range(self.groups):
            own = weights[group * outputs : (group + 1) * outputs].astype(np.float64)
            inputs = shifted[..., group * count : (group + 1) * count]
            sums.append(sum(below @ own[:, y, x].T for y, x, below in places(inputs, self.rows, self.columns)))
        return (self.accumulator.outputs(np.concatenate(sums, axis=-1), bias),)


def convolution(node: Node) -> Convolution:
    """Prepares a CONV_2D."""
    images, weights, options = node.input(0), node.input(1), node.options
    rows, columns = _windows(node, images, weights, 2)
    groups = images.shape[3] // max(1, weights.shape[3])
    fits = groups > 0 and images.shape[3] == groups * weights.shape[3] and weights.shape[0] % groups == 0
    node.require(fits, f"weights {list(weights.shape)} do not fit {images.shape[3]} channels")
    node.require_shape(node.output, (images.shape[0], rows.outputs, columns.outputs, weights.shape[0]))
    made = accumulator(node, images, weights, node.optional(2), 0, options.fusedActivationFunction)
    return Convolution(rows, columns, groups, made)


@dataclass(frozen=True, eq=False)
class DepthwiseConvolution:
    """DEPTHWISE_CONV_2D: each channel has `multiplier` outputs; output channel c * multiplier + m is of channel c.

    Attributes:
        rows, columns: its windows.
        multiplier: outputs a channel.
        accumulator: what becomes of the sums.
    """

    rows: Window
    columns: Window
    multiplier: int
    accumulator: Accumulator

    def __call__(self, images: np.ndarray, weights: np.ndarray, bias: np.ndarray | None = None) -> tuple[np.ndarray]:
        """Images [n, height, width, channels], weights [1, rows, columns, channels * multiplier]."""
        shifted = np.repeat(self.accumulator.shifted(images), self.multiplier, axis=3)
        image = padded(shifted, self.rows, self.columns, 0)
        sums = sum(below * weights[0, y, x] for y, x, below in places(image, self.rows, self.columns))
        return (self.accumulator.outputs(np.asarray(sums), bias),)


def depthwise_convolution(node: Node) -> DepthwiseConvolution:
    """Prepares a DEPTHWISE_CONV_2D."""
    images, weights, options = node.input(0), node.input(1), node.options
    rows, columns = _windows(node, images, weights, 2)
    outputs, multiplier = weights.shape[3], options.depthMultiplier
    fits = multiplier > 0 and weights.shape[0] == 1 and outputs == images.shape[3] * multiplier
    node.require(fits, f"weights {list(weights.shape)} and a depth multiplier of {multiplier} do not fit the channels")
    node.require_shape(node.output, (images.shape[0], rows.outputs, columns.outputs, outputs))
    made = accumulator(node, images, weights, node.optional(2), 3, options.fusedActivationFunction)
    return DepthwiseConvolution(rows, columns, multiplier, made)


def _windows(node: Node, images: Tensor, weights: Tensor, axes: int) -> list[Window]:
    """The windows on rows and columns of a convolution."""
    node.require(len(images.shape) == len(weights.shape) == axes + 2, "images and weights must have four axes")
    options = node.options
    steps = ((options.strideH, options.dilationHFactor), (options.strideW, options.dilationWFactor))
    return [window(node, images.shape[axis], weights.shape[axis], *steps[axis - 1]) for axis in (1, 2)]


@dataclass(frozen=True, eq=False)
class TransposedConvolution:
    """TRANSPOSE_CONV: each input adds its product with the kernel to the outputs below it.

    Attributes:
        strides: from one input to the next, in outputs.
        before: how far the first kernel lies before the outputs.
        shape: of the output.
        accumulator: what becomes of the sums.
    """

    strides: tuple[int, int]
    before: tuple[int, int]
    shape: tuple[int, ...]
    accumulator: Accumulator

    def __call__(
        self, _: np.ndarray, weights: np.ndarray, images: np.ndarray, bias: np.ndarray | None = None
    ) -> tuple[np.ndarray]:
        """The output's shape (known already), weights [outputs, rows, columns, channels], images [n, ..., channels]."""
        shifted, (count, *sizes) = self.accumulator.shifted(images), images.shape[:3]
        reach = [(size - 1) * stride for size, stride in zip(sizes, self.strides, strict=True)]
        ends = [max(reach[i] + weights.shape[i + 1], self.before[i] + self.shape[i + 1]) for i in (0, 1)]
        sums = np.zeros((count, *ends, weights.shape[0]))
        for y in range(weights.shape[1]):
            for x in range(weights.shape[2]):
                below = sums[:, y : y + reach[0] + 1 : self.strides[0], x : x + reach[1] + 1 : self.strides[1]]
                below += shifted @ weights[:, y, x].T.astype(np.float64)
        top, left = self.before
        inside = sums[:, top : top + self.shape[1], left : left + self.shape[2]]
        return (self.accumulator.outputs(inside, bias),)


def transposed_convolution(node: Node) -> TransposedConvolution:
    """Prepares a TRANSPOSE_CONV, whose output has the shape that the file gives it."""
    weights, images, output, options = node.input(1), node.input(2), node.output, node.options
    node.require(len(images.shape) == len(weights.shape) == len(output.shape) == 4, "tensors must have four axes")
    fits = (output.shape[0], output.shape[3], weights.shape[3]) == (images.shape[0], weights.shape[0], images.shape[3])
    node.require(fits, f"{list(images.shape)} and weights {list(weights.shape)} do not give {list(output.shape)}")
    strides = (options.strideH, options.strideW)
    windows = [window(node, output.shape[axis], weights.shape[axis], strides[axis - 1], 1) for axis in (1, 2)]
    made = accumulator(node, images, weights, node.optional(3), 0, options.fusedActivationFunction)
    return TransposedConvolution(strides, (windows[0].before, windows[1].before), output.shape, made)
