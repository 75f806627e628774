"""Pools and means over places."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from keras_mtl.tflite.flatbuffer import GraphWriter, Value
from keras_mtl.tflite.kinds import fixed_point
from keras_mtl.tflite.kinds.grid import Signal, instead
from keras_mtl.tflite.kinds.operator import Operator
from keras_mtl.tflite.kinds.registry import Call, register
from keras_mtl.tflite.kinds.shapes import reshaped
from keras_mtl.tflite.kinds.weighted import require_channels_last

_layers = keras.layers
_PADDING = {"same": 0, "valid": 1}


@keras.saving.register_keras_serializable(package="keras_mtl")
class Pool(Operator):
    """MAX_POOL_2D or AVERAGE_POOL_2D, on the grid of its input.

    Args:
        averages: whether it is the mean of each window, else its largest value.
        size: of the window.
        strides: of the windows.
        padding: "same" or "valid".
        **options: options of `Operator`.
    """

    def __init__(
        self, averages: bool, size: Sequence[int], strides: Sequence[int], padding: str = "valid", **options: Any
    ) -> None:
        super().__init__(**options)
        self.averages, self.size, self.strides, self.padding = averages, tuple(size), tuple(strides), padding

    def call(self, *parts: Any, training: Any = None) -> tuple[Any, Any, Any]:
        """A signal of [batch, height, width, channels] to one of [batch, height', width', channels]."""
        values, step, zero_point = parts
        if not self.averages:
            return tf.nn.max_pool2d(values, self.size, self.strides, self.padding.upper()), step, zero_point
        mean = tf.nn.avg_pool2d(values, self.size, self.strides, self.padding.upper())
        if not self.rounds:
            return mean, step, zero_point
        # Sums of whole numbers in float64, since a mean in float32 is beside the half that it is.
        whole = tf.cast(tf.round(values / step), tf.float64)
        counts = self._sum(tf.ones_like(whole[:1, ..., :1]))
        total, zero = fixed_point.whole(self._sum(whole)), tf.cast(zero_point, tf.int64)
        levels = fixed_point.averaged(total, fixed_point.whole(counts), zero)
        return instead(tf.cast(levels, tf.float32) * step, mean), step, zero_point

    def out_shape(self, *shapes: tuple[Any, ...]) -> tuple[Any, ...] | None:
        """As a trace has it."""
        return None

    def _sum(self, values: Any) -> Any:
        """Sums of the windows: by a convolution of ones for each channel."""
        height, width = self.size
        if self.padding == "same":
            values = tf.pad(values, [(0, 0), *self._missing(values.shape), (0, 0)])
        rows = [values[:, row : values.shape[1] - height + 1 + row : self.strides[0]] for row in range(height)]
        summed = tf.add_n(rows)
        columns = [
            summed[:, :, column : summed.shape[2] - width + 1 + column : self.strides[1]] for column in range(width)
        ]
        return tf.add_n(columns)

    def _missing(self, shape: Any) -> list[tuple[int, int]]:
        pairs = []
        for length, size, stride in zip(shape[1:3], self.size, self.strides, strict=True):
            missing = max((-(-length // stride) - 1) * stride + size - length, 0)
            pairs.append((missing // 2, missing - missing // 2))
        return pairs

    def to_file(self, writer: GraphWriter, *values: Value) -> Value:
        """MAX_POOL_2D or AVERAGE_POOL_2D."""
        (source,) = values
        sizes = []
        for length, size, stride in zip(source.shape[1:3], self.size, self.strides, strict=True):
            sizes.append(-(-length // stride) if self.padding == "same" else (length - size) // stride + 1)
        options = {
            "padding": _PADDING[self.padding],
            "strideH": self.strides[0],
            "strideW": self.strides[1],
            "filterHeight": self.size[0],
            "filterWidth": self.size[1],
        }
        op, version = "AVERAGE_POOL_2D" if self.averages else "MAX_POOL_2D", 2 if source.dtype == "int8" else 3
        shape = (source.shape[0], *sizes, source.shape[3])
        return writer.operator(op, [source], shape, version, ("Pool2DOptions", options), self.name).on_grid_of(source)

    def get_config(self) -> dict[str, Any]:
        """All constructor arguments."""
        own = {"averages": self.averages, "size": list(self.size), "strides": list(self.strides)}
        return {**super().get_config(), **own, "padding": self.padding}


@keras.saving.register_keras_serializable(package="keras_mtl", name="MeanOperator")  # `tflite.qat` has a Mean, too
class Mean(Operator):
    """MEAN over axes, on a grid of its own: the mean of a map has finer steps than the map.

    Args:
        axes: that are left out of the result.
        **options: options of `Operator`.
    """

    def __init__(self, axes: Sequence[int], **options: Any) -> None:
        super().__init__(**options)
        self.axes = tuple(axes)

    def out_shape(self, *shapes: tuple[Any, ...]) -> tuple[Any, ...]:
        """The shape without the axes."""
        return tuple(size for axis, size in enumerate(shapes[0]) if axis not in self.axes)

    def real(self, *values: Any) -> Any:
        """The mean."""
        return tf.reduce_mean(values[0], self.axes)

    def levels(self, *parts: Any) -> Any:
        """The sum, by a multiplier that is divided by the number of values."""
        values, step, _ = parts
        total = tf.reduce_sum(fixed_point.whole(values / step), self.axes)
        count = math.prod(values.shape[axis] for axis in self.axes)
        return fixed_point.meaned(total, count, tf.cast(step, tf.float64) / tf.cast(self.target, tf.float64))

    def to_file(self, writer: GraphWriter, *values: Value) -> Value:
        """MEAN."""
        (source,) = values
        axes = writer.constant(f"{self.name}/axes", self.axes, "int32")
        shape = self.out_shape(source.shape)
        made = writer.operator("MEAN", [source, axes], shape, 2, ("ReducerOptions", {"keepDims": False}), self.name)
        return self.grid.on_grid(made)

    def get_config(self) -> dict[str, Any]:
        """All constructor arguments."""
        return {**super().get_config(), "axes": list(self.axes)}


@register(_layers.MaxPooling2D, _layers.AveragePooling2D)
def pooling_2d(call: Call) -> Signal:
    """MAX_POOL_2D or AVERAGE_POOL_2D."""
    layer = call.layer
    require_channels_last(layer)
    averages = isinstance(layer, _layers.AveragePooling2D)
    window = {"size": layer.pool_size, "strides": layer.strides, "padding": layer.padding}
    return call.apply(call.operator(Pool, averages=averages, **window), call.input)


@register(_layers.MaxPooling1D, _layers.AveragePooling1D)
def pooling_1d(call: Call) -> Signal:
    """The same of one column."""
    layer = call.layer
    require_channels_last(layer)
    steps, channels = call.input.shape[1:]
    column = reshaped(call, call.input, (steps, 1, channels), "column")
    averages = isinstance(layer, _layers.AveragePooling1D)
    window = {"size": (_one(layer.pool_size), 1), "strides": (_one(layer.strides), 1), "padding": layer.padding}
    made = call.apply(call.operator(Pool, averages=averages, **window), column)
    return reshaped(call, made, (made.shape[1], channels), "steps")


def _one(size: Any) -> int:
    return int(size[0] if isinstance(size, Sequence) else size)


@register(_layers.GlobalMaxPooling1D, _layers.GlobalMaxPooling2D)
def global_max_pooling(call: Call) -> Signal:
    """MAX_POOL_2D of one window."""
    require_channels_last(call.layer)
    *places, channels = call.input.shape[1:]
    size = (*places, 1)[:2]
    map_ = call.input if len(places) == 2 else reshaped(call, call.input, (*size, channels), "column")
    made = call.apply(call.operator(Pool, averages=False, size=size, strides=size), map_)
    return reshaped(call, made, _pooled(call, places, channels), "values")


@register(_layers.GlobalAveragePooling1D, _layers.GlobalAveragePooling2D)
def global_average_pooling(call: Call) -> Signal:
    """MEAN."""
    require_channels_last(call.layer)
    *places, channels = call.input.shape[1:]
    made = call.apply(call.operator(Mean, axes=range(1, 1 + len(places)), grid=call.grid()), call.input)
    return reshaped(call, made, _pooled(call, places, channels), "values") if call.layer.keepdims else made


def _pooled(call: Call, places: Sequence[Any], channels: Any) -> tuple[Any, ...]:
    return (*[1] * len(places), channels) if call.layer.keepdims else (channels,)
