"""Convolutions and dense layers, with the batch normalisation and the ReLU that follow them."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np

from keras_mtl.tflite.kinds.activations import activated
from keras_mtl.tflite.kinds.grid import Signal
from keras_mtl.tflite.kinds.registry import Call, register
from keras_mtl.tflite.kinds.shapes import Pad, reshaped
from keras_mtl.tflite.kinds.weighted import (
    Convolution,
    Dense,
    DepthwiseConvolution,
    TransposedConvolution,
    require_channels_last,
)
from keras_mtl.tflite.qat import activation_name, gain_of, saturation, take_normalisation, take_relu, unsupported

_layers = keras.layers


def affine_of(layer: Any) -> tuple[np.ndarray, np.ndarray]:
    """Batch normalisation at inference as (gain, offset): x gain + offset."""
    gain = gain_of(layer)
    offset = -np.asarray(layer.moving_mean) * gain
    return gain, offset + np.asarray(layer.beta) if layer.center else offset


def weighted(
    call: Call, signal: Signal, kind: Callable[..., Any], kernel: Any, bias: Any, role: str = "", **options: Any
) -> Signal:
    """An operator with weights, the batch normalisation and the activation that belong to it.

    Args:
        call: of the layer.
        signal: what the operator reads.
        kind: class of the operator.
        kernel: in the layer's shape.
        bias: [channels], or None.
        role: as of `Call.operator`.
        **options: arguments of the operator.
    """
    layer, kernel = call.layer, np.asarray(kernel)
    bias = np.zeros(math.prod(_channels_of(kind, kernel.shape)), np.float32) if bias is None else np.asarray(bias)
    activation = activation_name(getattr(layer, "activation", None))
    if activation == "linear":
        kernel, bias = take_normalisation(call, kernel, bias, _channels_of(kind, kernel.shape))
    # TRANSPOSE_CONV has no ReLU in it; a grid of 8 bits that begins at 0 is one.
    fits = kind is not TransposedConvolution or call.bits == 8
    rectified, most = activation in ("relu", "relu6") and fits, 6.0 if activation == "relu6" else None
    if activation == "linear" and fits:
        rectified, most = take_relu(call)
    if most is None:
        most = saturation(call, activation)
    made = call.operator(
        kind, role, kernel_shape=kernel.shape, rectified=rectified, grid=call.grid(rectified, most=most), **options
    )
    made = call.apply(call.takes_weights(made, kernel, bias), signal)
    return made if rectified or activation == "linear" else activated(call, activation, made)


def _channels_of(kind: Callable[..., Any], shape: Sequence[int]) -> tuple[int, ...]:
    """The shape of a kernel's output channels, as it is broadcast over the kernel."""
    if kind is TransposedConvolution:
        return (shape[2], 1)
    return tuple(shape[2:]) if kind is DepthwiseConvolution else (shape[-1],)


def _weights(layer: Any) -> tuple[Any, Any]:
    kernel, *bias = layer.get_weights()
    return kernel, bias[0] if bias else None


def _require_plain(layer: Any) -> None:
    require_channels_last(layer)
    if getattr(layer, "groups", 1) != 1:
        raise unsupported(layer, f"{layer.groups} groups", "one group, or a depthwise convolution")


def _window(layer: Any) -> dict[str, Any]:
    return {"strides": layer.strides, "padding": layer.padding, "dilations": layer.dilation_rate}


@register(_layers.Conv2D)
def conv2d(call: Call) -> Signal:
    """CONV_2D."""
    _require_plain(call.layer)
    return weighted(call, call.input, Convolution, *_weights(call.layer), **_window(call.layer))


@register(_layers.DepthwiseConv2D)
def depthwise_conv2d(call: Call) -> Signal:
    """DEPTHWISE_CONV_2D."""
    _require_plain(call.layer)
    return weighted(call, call.input, DepthwiseConvolution, *_weights(call.layer), **_window(call.layer))


@register(_layers.Conv2DTranspose)
def conv2d_transpose(call: Call) -> Signal:
    """TRANSPOSE_CONV."""
    layer = call.layer
    _require_plain(layer)
    if set(layer.dilation_rate) != {1} or layer.output_padding is not None:
        raise unsupported(layer, "a dilation or an output padding", "leave them out; ZeroPadding2D pads an output")
    options = {"strides": layer.strides, "padding": layer.padding}
    return weighted(call, call.input, TransposedConvolution, *_weights(layer), **options)


@register(_layers.Conv1D)
def conv1d(call: Call) -> Signal:
    """CONV_2D of one row."""
    _require_plain(call.layer)
    kernel, bias = _weights(call.layer)
    return _one_row(call, Convolution, kernel[None], bias)


@register(_layers.DepthwiseConv1D)
def depthwise_conv1d(call: Call) -> Signal:
    """DEPTHWISE_CONV_2D of one row."""
    _require_plain(call.layer)
    kernel, bias = _weights(call.layer)
    return _one_row(call, DepthwiseConvolution, kernel[None], bias)


def _one_row(call: Call, kind: Callable[..., Any], kernel: np.ndarray, bias: Any) -> Signal:
    layer, signal = call.layer, call.input
    stride, dilation, padding = layer.strides[0], layer.dilation_rate[0], layer.padding
    if padding == "causal":
        before = (layer.kernel_size[0] - 1) * dilation
        pad = call.operator(Pad, "padding", before=(before, 0), behind=(0, 0))
        signal, padding = call.move(pad, signal), "valid"
    row = reshaped(call, signal, (1, *signal.shape[1:]), "row")
    made = weighted(call, row, kind, kernel, bias, strides=(1, stride), padding=padding, dilations=(1, dilation))
    return reshaped(call, made, made.shape[2:], "steps")


@register(_layers.SeparableConv2D)
def separable_conv2d(call: Call) -> Signal:
    """DEPTHWISE_CONV_2D and CONV_2D, with a grid between."""
    layer = call.layer
    _require_plain(layer)
    depthwise, pointwise, *bias = layer.get_weights()
    between = call.operator(
        DepthwiseConvolution, "depthwise", kernel_shape=depthwise.shape, grid=call.grid(), **_window(layer)
    )
    zeros = np.zeros(depthwise.shape[2] * depthwise.shape[3], np.float32)
    signal = call.apply(call.takes_weights(between, depthwise, zeros), call.input)
    return weighted(call, signal, Convolution, pointwise, bias[0] if bias else None)


@register(_layers.SeparableConv1D)
def separable_conv1d(call: Call) -> Signal:
    """The same of one row."""
    layer, signal = call.layer, call.input
    _require_plain(layer)
    depthwise, pointwise, *bias = layer.get_weights()
    row = reshaped(call, signal, (1, *signal.shape[1:]), "row")
    window = {"strides": (1, layer.strides[0]), "padding": layer.padding, "dilations": (1, layer.dilation_rate[0])}
    shape = (1, *depthwise.shape)
    between = call.operator(DepthwiseConvolution, "depthwise", kernel_shape=shape, grid=call.grid(), **window)
    zeros = np.zeros(depthwise.shape[1] * depthwise.shape[2], np.float32)
    row = call.apply(call.takes_weights(between, depthwise[None], zeros), row)
    made = weighted(call, row, Convolution, pointwise[None], bias[0] if bias else None)
    return reshaped(call, made, made.shape[2:], "steps")


@register(_layers.Dense)
def dense(call: Call) -> Signal:
    """FULLY_CONNECTED over the last axis."""
    return weighted(call, call.input, Dense, *_weights(call.layer))


@register(_layers.BatchNormalization)
def batch_normalization(call: Call) -> Signal:
    """Where it follows no convolution: a depthwise convolution of one place, a multiply-add of every channel."""
    axis = call.layer.axis
    if axis not in (-1, len(call.input.shape) - 1):
        raise unsupported(call.layer, f"axis {axis}", "normalise the channels, which come last")
    return affine(call, call.input, *affine_of(call.layer))


@register(_layers.Rescaling)
def rescaling(call: Call) -> Signal:
    """A multiply-add."""
    channels = call.input.shape[-1]
    gain, offset = (np.broadcast_to(np.float32(each), (channels,)) for each in (call.layer.scale, call.layer.offset))
    return affine(call, call.input, gain, offset)


def affine(call: Call, signal: Signal, gain: np.ndarray, offset: np.ndarray, role: str = "") -> Signal:
    """x gain + offset of the last axis, and the ReLU that follows: DEPTHWISE_CONV_2D of one place."""
    shape = signal.shape[1:]
    flat = signal if len(shape) == 3 else reshaped(call, signal, (1, math.prod(shape[:-1]), shape[-1]), "row")
    rectified, most = take_relu(call) if not role else (False, None)
    grid = call.grid(rectified, most=saturation(call, "linear") if most is None else most)
    kernel = np.asarray(gain, np.float32).reshape(1, 1, -1, 1)
    made = call.operator(DepthwiseConvolution, role, kernel_shape=kernel.shape, rectified=rectified, grid=grid)
    made = call.apply(call.takes_weights(made, kernel, np.asarray(offset, np.float32)), flat)
    return made if len(shape) == 3 else reshaped(call, made, shape, "back")
