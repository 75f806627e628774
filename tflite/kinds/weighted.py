"""Operators with weights: convolutions, depthwise and transposed ones, and dense layers.

Weights have 8 bits, one scale for each output channel, and one for all of a dense layer (CMSIS-NN's int16x8
FULLY_CONNECTED takes no other). Sums are of whole numbers, as in the kernels: in float32, which holds them exactly up
to 2^24, and then in int64.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_mtl.core import ConversionError
from keras_mtl.tflite.flatbuffer import GraphWriter, Value
from keras_mtl.tflite.kinds import fixed_point
from keras_mtl.tflite.kinds.grid import instead
from keras_mtl.tflite.kinds.operator import Operator, bits_of, fused, levels_of
from keras_mtl.tflite.qat import SMALLEST_LIMIT

_WEIGHT_LEVELS = 127.0
#: A channel whose weights are all but 0 would get a scale so small that its bias overflows 32 bits.
_SMALLEST_SHARE = 1e-3
_PADDING = {"same": 0, "valid": 1}
_BIAS_LIMITS = {8: 2.0**31 - 1, 16: 2.0**47}
#: Versions of the operators whose kernels take such inputs, by bits: of 16 the ones with biases of 64 bits.
_VERSIONS = {
    "CONV_2D": {8: 3, 16: 3},
    "DEPTHWISE_CONV_2D": {8: 3, 16: 5},
    "FULLY_CONNECTED": {8: 4, 16: 4},
    "TRANSPOSE_CONV": {8: 3, 16: 3},
}


class Weighted(Operator):
    """An operator with a kernel and a bias.

    Args:
        kernel_shape: of the kernel, as the Keras layer has it.
        rectified: whether a ReLU is part of it.
        **options: options of `Operator`.
    """

    #: The axes of the kernel over which one scale is shared.
    shared_axes: tuple[int, ...] = (0, 1, 2)
    #: The axes of the kernel that are input and output channels; a depthwise one's output channels lie on two.
    input_axis, output_axis = 2, 3

    def __init__(self, kernel_shape: Sequence[int], rectified: bool = False, **options: Any) -> None:
        super().__init__(**options)
        self.kernel_shape, self.rectified = tuple(kernel_shape), rectified
        self.kernel = self.add_weight(shape=self.kernel_shape, initializer="glorot_uniform", name="kernel")
        self.bias = self.add_weight(shape=(self.channels,), initializer="zeros", name="bias")

    @property
    def channels(self) -> int:
        """Output channels."""
        return self.kernel_shape[-1]

    def weight_levels(self) -> tuple[Any, Any]:
        """The kernel as whole numbers in float32, and its steps: a scalar, or one for each output channel."""
        kernel = tf.convert_to_tensor(self.kernel)
        steps = self._steps(kernel)
        exact = kernel / steps
        levels = tf.clip_by_value(tf.floor(exact + 0.5), -_WEIGHT_LEVELS, _WEIGHT_LEVELS)
        return instead(levels, exact), tf.reshape(steps, [-1] if len(self.shared_axes) < len(self.kernel_shape) else [])

    def _steps(self, kernel: Any) -> Any:
        """Steps of the kernel's levels, in a shape that can be broadcast to its."""
        limits = tf.reduce_max(tf.abs(kernel), axis=self.shared_axes, keepdims=True)
        floor = tf.maximum(_SMALLEST_SHARE * tf.reduce_max(limits), SMALLEST_LIMIT)
        return tf.stop_gradient(tf.maximum(limits, floor) / _WEIGHT_LEVELS)

    def bias_levels(self, step: Any, steps: Any, bits: int) -> Any:
        """The bias in steps of the accumulators, float64."""
        accumulator = tf.cast(step, tf.float64) * tf.cast(steps, tf.float64)
        levels = tf.round(tf.cast(tf.convert_to_tensor(self.bias), tf.float64) / accumulator)
        return tf.clip_by_value(levels, -_BIAS_LIMITS[bits], _BIAS_LIMITS[bits])

    def call(self, *parts: Any, training: Any = None) -> Any:
        """A signal to a signal."""
        values, step, _ = parts
        if not self.rounds:
            return self.grid.passed(self.real(values))
        levels, steps = self.weight_levels()
        sums = self.summed(levels_of(values, step), levels)
        real = self._rectified(tf.cast(sums, tf.float32) * tf.stop_gradient(step * steps) + self.bias)
        bits = self.grid.bits
        total = fixed_point.whole(sums) + tf.cast(self.bias_levels(step, steps, bits), tf.int64)
        made = fixed_point.requantized(total, self.multiplier(step, steps, self.target), bits)
        return self.grid(real, levels=self._rectified(made), training=training)

    def real(self, *values: Any) -> Any:
        """The same of real values and weights."""
        return self._rectified(self.before_relu(values[0]))

    def before_relu(self, values: Any, rounded: bool = False) -> Any:
        """Real values to what a ReLU gets, by the weights as they are or on their levels."""
        kernel = tf.convert_to_tensor(self.kernel)
        if rounded:
            levels, _ = self.weight_levels()
            kernel = levels * self._steps(kernel)
        return tf.cast(self.summed(values, kernel), tf.float32) + self.bias

    def _rectified(self, values: Any) -> Any:
        return tf.maximum(values, tf.zeros_like(values)) if self.rectified else values

    def multiplier(self, step: Any, steps: Any, target: Any) -> Any:
        """Step of the accumulators over that of the output, as kernels compute it."""
        return tf.cast(step, tf.float64) * tf.cast(steps, tf.float64) / tf.cast(target, tf.float64)

    def summed(self, values: Any, kernel: Any) -> Any:
        """Whole numbers of the input and of the kernel to accumulators."""
        raise NotImplementedError

    def constants(self, writer: GraphWriter, source: Value) -> tuple[Value, Value]:
        """Weights and bias in the file, for an input."""
        levels, steps = (np.asarray(each) for each in self.weight_levels())
        kernel, axis = self.filed(levels.astype(np.int8))
        bits = bits_of(source)
        bias = np.asarray(self.bias_levels(tf.constant(source.scale), tf.constant(steps), bits))
        weights = writer.constant(f"{self.name}/kernel", kernel, "int8", steps, axis=axis)
        kind = "int32" if bits == 8 else "int64"
        return weights, writer.constant(f"{self.name}/bias", bias, kind, np.float32(source.scale) * steps)

    def filed(self, kernel: np.ndarray) -> tuple[np.ndarray, int]:
        """The kernel as the file has it, and the axis of its output channels."""
        raise NotImplementedError

    def operator(
        self,
        writer: GraphWriter,
        op: str,
        inputs: Sequence[Value | None],
        shape: Any,
        options: tuple[str, dict[str, Any]],
    ) -> Value:
        """Appends the operator, on the grid of its output."""
        made = writer.operator(op, inputs, shape, _VERSIONS[op][self.grid.bits], options, self.name)
        return self.grid.on_grid(made)

    def get_config(self) -> dict[str, Any]:
        """All constructor arguments."""
        return {**super().get_config(), "kernel_shape": list(self.kernel_shape), "rectified": self.rectified}


class _Sliding(Weighted):
    """An operator whose kernel slides over height and width."""

    def __init__(
        self,
        kernel_shape: Sequence[int],
        strides: Sequence[int] = (1, 1),
        padding: str = "valid",
        dilations: Sequence[int] = (1, 1),
        **options: Any,
    ) -> None:
        super().__init__(kernel_shape, **options)
        self.strides, self.padding, self.dilations = tuple(strides), padding, tuple(dilations)

    def options(self) -> dict[str, Any]:
        """What the operators' options have in common."""
        sizes = dict(zip(("strideH", "strideW"), self.strides, strict=True))
        return {**sizes, "padding": _PADDING[self.padding]}

    def window(self) -> dict[str, Any]:
        """The options of the two kinds of convolution."""
        dilations = dict(zip(("dilationHFactor", "dilationWFactor"), self.dilations, strict=True))
        return {**self.options(), **dilations, "fusedActivationFunction": fused(self.rectified)}

    def out_shape(self, *shapes: tuple[Any, ...]) -> tuple[Any, ...]:
        """The shape of what it makes."""
        (shape,) = shapes
        sizes = []
        for size, kernel, stride, dilation in zip(
            shape[1:3], self.kernel_shape[:2], self.strides, self.dilations, strict=True
        ):
            reach = (kernel - 1) * dilation + 1
            sizes.append(-(-size // stride) if self.padding == "same" else (size - reach) // stride + 1)
        return (shape[0], *sizes, self.channels)

    def get_config(self) -> dict[str, Any]:
        """All constructor arguments."""
        own = {"strides": list(self.strides), "padding": self.padding, "dilations": list(self.dilations)}
        return {**super().get_config(), **own}


@keras.saving.register_keras_serializable(package="keras_mtl")
class Convolution(_Sliding):
    """CONV_2D: kernel [height, width, channels, filters]."""

    def summed(self, values: Any, kernel: Any) -> Any:
        """[batch, height, width, channels] to [batch, height', width', filters]."""
        strides, dilations = list(self.strides), list(self.dilations)
        return tf.nn.convolution(values, kernel, strides, self.padding.upper(), dilations=dilations)

    def filed(self, kernel: np.ndarray) -> tuple[np.ndarray, int]:
        """[filters, height, width, channels]."""
        return kernel.transpose(3, 0, 1, 2), 0

    def to_file(self, writer: GraphWriter, *values: Value) -> Value:
        """CONV_2D."""
        (source,) = values
        inputs = [source, *self.constants(writer, source)]
        return self.operator(writer, "CONV_2D", inputs, self.out_shape(source.shape), ("Conv2DOptions", self.window()))


@keras.saving.register_keras_serializable(package="keras_mtl")
class DepthwiseConvolution(_Sliding):
    """DEPTHWISE_CONV_2D: kernel [height, width, channels, multiplier]."""

    shared_axes, output_axis = (0, 1), 2

    @property
    def channels(self) -> int:
        """Output channels: input channel x multiplier."""
        return self.kernel_shape[2] * self.kernel_shape[3]

    def summed(self, values: Any, kernel: Any) -> Any:
        """[batch, height, width, channels] to [batch, height', width', channels']."""
        strides = list(self.strides)
        if values.shape[1] == 1 and self.kernel_shape[0] == 1:
            strides[0] = strides[1]  # TensorFlow's kernel takes equal strides only, and one row has but one place
        return tf.nn.depthwise_conv2d(
            values, kernel, [1, *strides, 1], self.padding.upper(), dilations=list(self.dilations)
        )

    def filed(self, kernel: np.ndarray) -> tuple[np.ndarray, int]:
        """[1, height, width, channels']."""
        return kernel.reshape(1, *kernel.shape[:2], -1), 3

    def to_file(self, writer: GraphWriter, *values: Value) -> Value:
        """DEPTHWISE_CONV_2D."""
        (source,) = values
        inputs = [source, *self.constants(writer, source)]
        options = {**self.window(), "depthMultiplier": self.kernel_shape[3]}
        shape = self.out_shape(source.shape)
        return self.operator(writer, "DEPTHWISE_CONV_2D", inputs, shape, ("DepthwiseConv2DOptions", options))


@keras.saving.register_keras_serializable(package="keras_mtl")
class TransposedConvolution(_Sliding):
    """TRANSPOSE_CONV: kernel [height, width, filters, channels]."""

    shared_axes, input_axis, output_axis = (0, 1, 3), 3, 2

    @property
    def channels(self) -> int:
        """Output channels."""
        return self.kernel_shape[2]

    def out_shape(self, *shapes: tuple[Any, ...]) -> tuple[Any, ...]:
        """The shape of what it makes."""
        (shape,) = shapes
        sizes = []
        for size, kernel, stride in zip(shape[1:3], self.kernel_shape[:2], self.strides, strict=True):
            sizes.append(size * stride + (max(kernel - stride, 0) if self.padding == "valid" else 0))
        return (shape[0], *sizes, self.channels)

    def summed(self, values: Any, kernel: Any) -> Any:
        """[batch, height, width, channels] to [batch, height', width', filters]."""
        shape = self.out_shape((0, *values.shape[1:]))
        shape = (tf.shape(values)[0], *shape[1:])
        return tf.nn.conv2d_transpose(values, kernel, shape, list(self.strides), self.padding.upper())

    def filed(self, kernel: np.ndarray) -> tuple[np.ndarray, int]:
        """[filters, height, width, channels]."""
        return kernel.transpose(2, 0, 1, 3), 0

    def to_file(self, writer: GraphWriter, *values: Value) -> Value:
        """TRANSPOSE_CONV."""
        (source,) = values
        shape = self.out_shape(source.shape)
        weights, bias = self.constants(writer, source)
        size = writer.constant(f"{self.name}/shape", shape, "int32")
        options = ("TransposeConvOptions", self.options())
        return self.operator(writer, "TRANSPOSE_CONV", [size, weights, source, bias], shape, options)


@keras.saving.register_keras_serializable(package="keras_mtl")
class Dense(Weighted):
    """FULLY_CONNECTED over the last axis: kernel [features, units]."""

    shared_axes, input_axis, output_axis = (0, 1), 0, 1

    def summed(self, values: Any, kernel: Any) -> Any:
        """[..., features] to [..., units]; of 16 bits in float64, since states that are fed back carry every step."""
        if self.rounds and self.grid.bits == 16:
            values, kernel = tf.cast(values, tf.float64), tf.cast(kernel, tf.float64)
        return tf.matmul(values, kernel) if len(values.shape) == 2 else tf.tensordot(values, kernel, [[-1], [0]])

    def out_shape(self, *shapes: tuple[Any, ...]) -> tuple[Any, ...]:
        """The shape of what it makes."""
        return (*shapes[0][:-1], self.channels)

    def multiplier(self, step: Any, steps: Any, target: Any) -> Any:
        """The kernel takes the product of the two steps in float32."""
        return tf.cast(tf.cast(step, tf.float32) * tf.cast(steps, tf.float32), tf.float64) / tf.cast(target, tf.float64)

    def filed(self, kernel: np.ndarray) -> tuple[np.ndarray, int]:
        """[units, features]."""
        return kernel.T, 0

    def to_file(self, writer: GraphWriter, *values: Value) -> Value:
        """FULLY_CONNECTED."""
        (source,) = values
        inputs = [source, *self.constants(writer, source)]
        shape = self.out_shape(source.shape)
        options = {"fusedActivationFunction": fused(self.rectified), "keepNumDims": len(shape) > 2}
        return self.operator(writer, "FULLY_CONNECTED", inputs, shape, ("FullyConnectedOptions", options))


def require_channels_last(layer: Any) -> None:
    """Refuses a layer whose channels come first.

    Raises:
        ConversionError: naming it.
    """
    if getattr(layer, "data_format", "channels_last") != "channels_last":
        raise ConversionError(
            f"layer {layer.name} ({type(layer).__name__}) has channels first", hint='data_format="channels_last"'
        )
