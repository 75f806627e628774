"""Operators that move values and compute none: their output has the grid of their input."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_mtl.tflite.flatbuffer import GraphWriter, Value
from keras_mtl.tflite.kinds.grid import Signal
from keras_mtl.tflite.kinds.operator import Operator
from keras_mtl.tflite.kinds.registry import Call, register
from keras_mtl.tflite.kinds.weighted import require_channels_last
from keras_mtl.tflite.qat import unsupported

_layers = keras.layers


class Mover(Operator):
    """An operator that moves values; its arguments are plain lists.

    Args:
        **options: its own arguments, by the names in `own`, and those of `Operator`.
    """

    own: tuple[str, ...] = ()

    def __init__(self, **options: Any) -> None:
        chosen = {key: options.pop(key) for key in self.own}
        super().__init__(**options)
        for key, value in chosen.items():
            setattr(self, f"chosen_{key}", _plain(value))

    def out_shape(self, *shapes: tuple[Any, ...]) -> tuple[Any, ...] | None:
        """As a trace has it."""
        return None

    def chosen(self, key: str) -> Any:
        """One of its own arguments."""
        return getattr(self, f"chosen_{key}")

    def get_config(self) -> dict[str, Any]:
        """All constructor arguments."""
        return {**super().get_config(), **{key: _listed(self.chosen(key)) for key in self.own}}


def _plain(value: Any) -> Any:
    return tuple(map(_plain, value)) if isinstance(value, Sequence | range) else value


def _listed(value: Any) -> Any:
    return [_listed(each) for each in value] if isinstance(value, tuple) else value


@keras.saving.register_keras_serializable(package="keras_mtl")
class Reshape(Mover):
    """RESHAPE to `shape`, without the first axis: the batch, or the batch merged with steps of time."""

    own = ("shape",)

    def call(self, *parts: Any, training: Any = None) -> Any:
        """Values of one shape to those of another."""
        (values,) = parts
        return tf.reshape(values, (-1, *self.chosen("shape")))

    def to_file(self, writer: GraphWriter, *values: Value) -> Value:
        """RESHAPE; none, where the shape is the same."""
        (source,) = values
        shape = tuple(int(size) for size in self.chosen("shape"))
        whole = (math.prod(source.shape) // math.prod(shape), *shape)
        return writer.reshaped(source, whole, self.name)


def reshaped(call: Call, signal: Signal, shape: Sequence[int | None], role: str = "") -> Signal:
    """A signal in another shape, without the batch."""
    return call.move(call.operator(Reshape, role, shape=[int(size or 1) for size in shape]), signal)


@register(_layers.Flatten)
def flatten(call: Call) -> Signal:
    """RESHAPE."""
    require_channels_last(call.layer)
    return reshaped(call, call.input, [math.prod(int(size or 1) for size in call.input.shape[1:])])


@register(_layers.Reshape)
def reshape(call: Call) -> Signal:
    """RESHAPE."""
    sizes, count = list(call.layer.target_shape), math.prod(call.input.shape[1:])
    if -1 in sizes:
        sizes[sizes.index(-1)] = count // -math.prod(sizes)
    return reshaped(call, call.input, sizes)


@keras.saving.register_keras_serializable(package="keras_mtl")
class Transpose(Mover):
    """TRANSPOSE: `order` of the axes, the batch's 0 first."""

    own = ("order",)

    def call(self, *parts: Any, training: Any = None) -> Any:
        """Values with their axes in another order."""
        (values,) = parts
        return tf.transpose(values, self.chosen("order"))

    def to_file(self, writer: GraphWriter, *values: Value) -> Value:
        """TRANSPOSE."""
        (source,) = values
        order = self.chosen("order")
        shape = [source.shape[axis] for axis in order]
        axes = writer.constant(f"{self.name}/order", order, "int32")
        return writer.operator("TRANSPOSE", [source, axes], shape, 2, name=self.name).on_grid_of(source)


@register(_layers.Permute)
def permute(call: Call) -> Signal:
    """TRANSPOSE."""
    return call.move(call.operator(Transpose, order=[0, *call.layer.dims]), call.input)


@keras.saving.register_keras_serializable(package="keras_mtl")
class Pad(Mover):
    """PAD with zeros: so many `before` and `behind` each axis but the batch."""

    own = ("before", "behind")

    def _pairs(self) -> list[tuple[int, int]]:
        return [(0, 0), *zip(self.chosen("before"), self.chosen("behind"), strict=True)]

    def call(self, *parts: Any, training: Any = None) -> Any:
        """Values with zeros around."""
        (values,) = parts
        return tf.pad(values, self._pairs())

    def to_file(self, writer: GraphWriter, *values: Value) -> Value:
        """PAD."""
        (source,) = values
        pairs = self._pairs()
        shape = [size + sum(pair) for size, pair in zip(source.shape, pairs, strict=True)]
        sizes = writer.constant(f"{self.name}/sizes", pairs, "int32")
        return writer.operator("PAD", [source, sizes], shape, 2, name=self.name).on_grid_of(source)


@register(_layers.ZeroPadding1D, _layers.ZeroPadding2D)
def zero_padding(call: Call) -> Signal:
    """PAD."""
    require_channels_last(call.layer)
    pairs = [*_pairs(call.layer.padding), (0, 0)]
    before, behind = zip(*pairs, strict=True)
    return call.move(call.operator(Pad, before=before, behind=behind), call.input)


def _pairs(sizes: Any) -> list[tuple[int, int]]:
    """(1, 2) of one axis, ((1, 2), (3, 4)) of two, as a list of pairs."""
    return [tuple(sizes)] if isinstance(sizes[0], int) else [tuple(pair) for pair in sizes]


@keras.saving.register_keras_serializable(package="keras_mtl")
class Slice(Mover):
    """STRIDED_SLICE from `begin` to `end` of each axis but the batch."""

    own = ("begin", "end")

    def call(self, *parts: Any, training: Any = None) -> Any:
        """Values without those around."""
        (values,) = parts
        places = zip(self.chosen("begin"), self.chosen("end"), strict=True)
        return values[(slice(None), *(slice(begin, end) for begin, end in places))]

    def to_file(self, writer: GraphWriter, *values: Value) -> Value:
        """STRIDED_SLICE."""
        (source,) = values
        begin, end = (0, *self.chosen("begin")), (source.shape[0], *self.chosen("end"))
        named = {"begin": begin, "end": end, "strides": (1,) * len(begin)}
        constants = [writer.constant(f"{self.name}/{key}", value, "int32") for key, value in named.items()]
        shape = np.subtract(end, begin)
        options: tuple[str, dict[str, Any]] = ("StridedSliceOptions", {})
        return writer.operator("STRIDED_SLICE", [source, *constants], shape, 2, options, self.name).on_grid_of(source)


@register(_layers.Cropping1D, _layers.Cropping2D)
def cropping(call: Call) -> Signal:
    """STRIDED_SLICE."""
    require_channels_last(call.layer)
    sizes, pairs = call.input.shape[1:], [*_pairs(call.layer.cropping), (0, 0)]
    begin = [before for before, _ in pairs]
    end = [int(size or 1) - behind for size, (_, behind) in zip(sizes, pairs, strict=True)]
    return call.move(call.operator(Slice, begin=begin, end=end), call.input)


@keras.saving.register_keras_serializable(package="keras_mtl")
class Repeat(Mover):
    """RESIZE_NEAREST_NEIGHBOR: every row and column so many `times`."""

    own = ("times",)

    def call(self, *parts: Any, training: Any = None) -> Any:
        """[batch, height, width, channels] to [batch, height', width', channels]."""
        (values,) = parts
        rows, columns = self.chosen("times")
        return tf.repeat(tf.repeat(values, rows, axis=1), columns, axis=2)

    def to_file(self, writer: GraphWriter, *values: Value) -> Value:
        """RESIZE_NEAREST_NEIGHBOR."""
        (source,) = values
        sizes = [size * times for size, times in zip(source.shape[1:3], self.chosen("times"), strict=True)]
        size = writer.constant(f"{self.name}/size", sizes, "int32")
        shape = (source.shape[0], *sizes, source.shape[3])
        options: tuple[str, dict[str, Any]] = ("ResizeNearestNeighborOptions", {})
        made = writer.operator("RESIZE_NEAREST_NEIGHBOR", [source, size], shape, 2, options, self.name)
        return made.on_grid_of(source)


@register(_layers.UpSampling2D)
def up_sampling_2d(call: Call) -> Signal:
    """RESIZE_NEAREST_NEIGHBOR."""
    require_channels_last(call.layer)
    if call.layer.interpolation != "nearest":
        raise unsupported(call.layer, f"{call.layer.interpolation} interpolation", 'interpolation="nearest"')
    return call.move(call.operator(Repeat, times=call.layer.size), call.input)


@register(_layers.UpSampling1D)
def up_sampling_1d(call: Call) -> Signal:
    """RESIZE_NEAREST_NEIGHBOR of one column."""
    steps, channels = call.input.shape[1:]
    column = reshaped(call, call.input, (steps, 1, channels), "column")
    made = call.move(call.operator(Repeat, times=(call.layer.size, 1)), column)
    return reshaped(call, made, (int(steps or 1) * call.layer.size, channels), "steps")
