"""What moves integers and computes nothing: shapes, slices, joins, paddings."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from keras_mtl.firmware_host.reference.node import Node, Tensor

_MOVED = ("int8", "int16", "int32")
_MOST_JOINED = 10


@dataclass(frozen=True)
class Reshape:
    """RESHAPE, EXPAND_DIMS and SQUEEZE.

    Attributes:
        shape: of the output.
    """

    shape: tuple[int, ...]

    def __call__(self, data: np.ndarray, *_: np.ndarray) -> tuple[np.ndarray]:
        """Data of as many elements."""
        return (data.reshape(self.shape),)


def reshape(node: Node) -> Reshape:
    """Prepares a RESHAPE, an EXPAND_DIMS or a SQUEEZE: what counts is the shape that the file gives the output."""
    data, output = node.input(0), node.output
    node.require(data.dtype == output.dtype, f"from {data.dtype} to {output.dtype}")
    same = int(np.prod(data.shape)) == int(np.prod(output.shape))
    node.require(same, f"{list(data.shape)} can't have the shape {list(output.shape)}")
    return Reshape(output.shape)


@dataclass(frozen=True)
class Join:
    """CONCATENATION.

    Attributes:
        axis: on which the inputs follow each other.
    """

    axis: int

    def __call__(self, *parts: np.ndarray) -> tuple[np.ndarray]:
        """Arrays that differ on that axis only."""
        return (np.concatenate(parts, axis=self.axis),)


def concatenation(node: Node) -> Join:
    """Prepares a CONCATENATION, whose inputs have the output's step."""
    parts, output = [node.input(place) for place in range(len(node.inputs))], node.output
    dtype = node.require_types(*parts, output, among=_MOVED)
    node.require(len(parts) <= _MOST_JOINED, f"more than {_MOST_JOINED} inputs")
    node.require(not node.options.fusedActivationFunction, "no kernel with a fused activation")
    for part in parts:
        zeros = node.zero_point(part) == node.zero_point(output)
        same = dtype != "int8" or (zeros and node.scale(part) == node.scale(output))
        node.require(bool(same), f"{part.name} has another step or zero point than the output")
    axis = _axis(node, node.options.axis, output)
    shape = list(output.shape)
    shape[axis] = sum(part.shape[axis] for part in parts if axis < len(part.shape))
    node.require_shape(output, shape)
    for part in parts:
        node.require_shape(part, [*shape[:axis], *part.shape[axis : axis + 1], *shape[axis + 1 :]])
    return Join(axis)


@dataclass(frozen=True)
class Split:
    """SPLIT and SPLIT_V.

    Attributes:
        axis: that is cut.
        sizes: of the outputs on it.
        data: which input it is.
    """

    axis: int
    sizes: tuple[int, ...]
    data: int

    def __call__(self, *inputs: np.ndarray) -> tuple[np.ndarray, ...]:
        """The data among the inputs in parts."""
        return tuple(np.split(inputs[self.data], np.cumsum(self.sizes)[:-1], axis=self.axis))


def split(node: Node) -> Split:
    """Prepares a SPLIT: the axis comes before the data."""
    return _split(node, 1, 0)


def split_v(node: Node) -> Split:
    """Prepares a SPLIT_V: data, sizes, axis; TFLM takes the sizes from its outputs."""
    return _split(node, 0, 2)


def _split(node: Node, place: int, axis_place: int) -> Split:
    data = node.input(place)
    node.require_types(data, *node.outputs, among=_MOVED)
    axis = _axis(node, int(node.constant(axis_place).reshape(-1)[0]), data)
    sizes = tuple(part.shape[axis] if axis < len(part.shape) else 0 for part in node.outputs)
    if node.op == "SPLIT":
        node.require(len({*sizes}) == 1, f"parts of {list(sizes)}: they must be equal")
    node.require(sum(sizes) == data.shape[axis], f"parts of {list(sizes)} of an axis of {data.shape[axis]}")
    for part, size in zip(node.outputs, sizes, strict=True):
        node.require_shape(part, [*data.shape[:axis], size, *data.shape[axis + 1 :]])
    return Split(axis, sizes, place)


def _axis(node: Node, axis: int, tensor: Tensor) -> int:
    """An axis of a tensor, counted from the first."""
    axes = len(tensor.shape)
    node.require(-axes <= axis < axes, f"axis {axis} of {axes}")
    return axis % axes


@dataclass(frozen=True)
class StridedSlice:
    """STRIDED_SLICE.

    Attributes:
        slices: (first, end, stride) of each axis; an end of -1 lies before the first place.
        shape: of the output, without the axes that are dropped.
    """

    slices: tuple[tuple[int, int, int], ...]
    shape: tuple[int, ...]

    def __call__(self, data: np.ndarray, *_: np.ndarray) -> tuple[np.ndarray]:
        """Data with as many axes as slices."""
        chosen = tuple(slice(first, None if end < 0 else end, step) for first, end, step in self.slices)
        return (data[chosen].reshape(self.shape),)


def strided_slice(node: Node) -> StridedSlice:
    """Prepares a STRIDED_SLICE without an ellipsis and new axes."""
    data, output, options = node.input(0), node.output, node.options
    node.require_types(data, output, among=(*_MOVED, "bool"))
    node.require(len(data.shape) <= 4, "more than 4 axes")
    node.require(not (options.ellipsisMask or options.newAxisMask), "no kernel with an ellipsis or new axes")
    begins, ends, strides = (node.constant(place).reshape(-1).astype(np.int64) for place in (1, 2, 3))
    fits = len(begins) == len(ends) == len(strides) == len(data.shape)
    node.require(fits and bool((strides != 0).all()), "begins, ends or strides that do not fit the input")
    slices, shape = [], []
    for axis, size in enumerate(data.shape):
        step, bit = int(strides[axis]), 1 << axis
        least, most = (0, size) if step > 0 else (-1, size - 1)
        first = int(np.clip(begins[axis] + (size if begins[axis] < 0 else 0), least, most))
        end = int(np.clip(ends[axis] + (size if ends[axis] < 0 else 0), least, most))
        if options.beginMask & bit:
            first = 0 if step > 0 else size - 1
        if options.endMask & bit:
            end = size if step > 0 else -1
        if options.shrinkAxisMask & bit:
            node.require(0 <= first < size, f"place {int(begins[axis])} of axis {axis} of {size}")
            first, end, step = first, first + 1, 1
        else:
            shape.append(max(0, -((first - end) // step)))
        slices.append((first, end, step))
    node.require_shape(output, shape)
    return StridedSlice(tuple(slices), tuple(shape))


def slice_of(node: Node) -> StridedSlice:
    """Prepares a SLICE; a size of -1 reaches to the end of its axis."""
    data, output = node.input(0), node.output
    node.require_types(data, output, among=(*_MOVED, "bool"))
    begins, sizes = (node.constant(place).reshape(-1).astype(np.int64) for place in (1, 2))
    node.require(len(begins) == len(sizes) == len(data.shape) <= 5, "begins or sizes that do not fit the input")
    ends = [
        size if length < 0 else first + length for first, length, size in zip(begins, sizes, data.shape, strict=True)
    ]
    fits = all(0 <= first <= end <= size for first, end, size in zip(begins, ends, data.shape, strict=True))
    node.require(fits, "it reaches beyond its input")
    node.require_shape(output, [end - first for first, end in zip(begins, ends, strict=True)])
    return StridedSlice(tuple((int(a), int(b), 1) for a, b in zip(begins, ends, strict=True)), output.shape)


@dataclass(frozen=True)
class Pad:
    """PAD and PADV2.

    Attributes:
        paddings: before and after each axis.
        value: the zero point; None where an input has the value.
    """

    paddings: tuple[tuple[int, int], ...]
    value: int | None

    def __call__(self, data: np.ndarray, _: np.ndarray, value: np.ndarray | None = None) -> tuple[np.ndarray]:
        """Data, paddings (known already), and a value that goes before the zero point."""
        filled = (self.value or 0) if value is None else int(value.item())
        return (np.pad(data, self.paddings, constant_values=filled),)


def pad(node: Node) -> Pad:
    """Prepares a PAD or a PADV2."""
    data, value, output = node.input(0), node.optional(2), node.output
    dtype = node.require_types(data, output, among=_MOVED)
    node.require(len(data.shape) <= 5, "more than 5 axes")
    widths = node.constant(1).reshape(-1)
    fits = len(widths) == 2 * len(data.shape) and bool((widths >= 0).all())
    node.require(fits, f"paddings {[int(n) for n in widths]} of {len(data.shape)} axes")
    pairs = tuple((int(before), int(after)) for before, after in widths.reshape(-1, 2))
    node.require_shape(output, [size + sum(pair) for size, pair in zip(data.shape, pairs, strict=True)])
    if value is not None:
        node.require(value.dtype == dtype and int(np.prod(value.shape)) == 1, f"{value.name} is not one {dtype}")
        if dtype == "int8":
            same = node.scale(value) == node.scale(output) and node.zero_point(value) == node.zero_point(output)
            node.require(bool(same), f"{value.name} has another step or zero point than the output")
        return Pad(pairs, None)
    return Pad(pairs, node.zero_point(output) if dtype == "int8" else 0)


@dataclass(frozen=True)
class Transpose:
    """TRANSPOSE.

    Attributes:
        axes: of the input, in the output's order.
    """

    axes: tuple[int, ...]

    def __call__(self, data: np.ndarray, *_: np.ndarray) -> tuple[np.ndarray]:
        """Data with as many axes."""
        return (np.ascontiguousarray(data.transpose(self.axes)),)


def transpose(node: Node) -> Transpose:
    """Prepares a TRANSPOSE."""
    data, output = node.input(0), node.output
    node.require_types(data, output)
    axes = tuple(int(axis) for axis in node.constant(1).reshape(-1))
    node.require(len(axes) <= 5 and sorted(axes) == [*range(len(data.shape))], f"no order of its axes: {list(axes)}")
    node.require_shape(output, [data.shape[axis] for axis in axes])
    return Transpose(axes)
