"""MAX_POOL_2D and AVERAGE_POOL_2D."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from keras_mtl.firmware_host.reference.arithmetic import divide_truncating, limits
from keras_mtl.firmware_host.reference.convolutions import Window, padded, places, window
from keras_mtl.firmware_host.reference.node import Node

#: By how much the steps of a pool's input and output may differ.
_STEP_TOLERANCE = 1e-6


@dataclass(frozen=True)
class Pool:
    """What both pools have: windows, in which only what lies inside the image counts, and the output's range."""

    rows: Window
    columns: Window
    low: int
    high: int


@dataclass(frozen=True)
class MaxPool(Pool):
    """The greatest value in each window."""

    def __call__(self, images: np.ndarray) -> tuple[np.ndarray]:
        """Images [n, height, width, channels] to their greatest values."""
        image = padded(images, self.rows, self.columns, limits(images.dtype.name)[0])
        greatest = np.stack([below for _, _, below in places(image, self.rows, self.columns)]).max(axis=0)
        return (np.clip(greatest, self.low, self.high).astype(images.dtype),)


@dataclass(frozen=True)
class AveragePool(Pool):
    """The mean of each window, halves away from zero; the integers are not freed of their zero point before."""

    def __call__(self, images: np.ndarray) -> tuple[np.ndarray]:
        """Images [n, height, width, channels] to their means."""
        image = padded(images.astype(np.int64), self.rows, self.columns, 0)
        inside = padded(np.ones((1, *images.shape[1:3], 1), np.int64), self.rows, self.columns, 0)
        sums = np.asarray(sum(below for _, _, below in places(image, self.rows, self.columns)))
        counts = np.asarray(sum(below for _, _, below in places(inside, self.rows, self.columns)))
        halves = np.where(sums > 0, counts // 2, -(counts // 2))
        means = divide_truncating(sums + halves, counts)
        return (np.clip(means, self.low, self.high).astype(images.dtype),)


def max_pool(node: Node) -> MaxPool:
    """Prepares a MAX_POOL_2D."""
    return MaxPool(*_parts(node))


def average_pool(node: Node) -> AveragePool:
    """Prepares an AVERAGE_POOL_2D."""
    return AveragePool(*_parts(node))


def _parts(node: Node) -> tuple[Window, Window, int, int]:
    """Windows and range of a pool."""
    images, output, options = node.input(0), node.output, node.options
    node.require_types(images, output)
    node.require(len(images.shape) == 4, "images must have four axes")
    same = abs(node.scale(images) - node.scale(output)) <= _STEP_TOLERANCE
    node.require(bool(same) and node.zero_point(images) == node.zero_point(output), "input and output of other steps")
    rows = window(node, images.shape[1], options.filterHeight, options.strideH, 1)
    columns = window(node, images.shape[2], options.filterWidth, options.strideW, 1)
    node.require_shape(output, (images.shape[0], rows.outputs, columns.outputs, images.shape[3]))
    return rows, columns, *node.activation_range(output, options.fusedActivationFunction)
