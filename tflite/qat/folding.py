"""What follows a layer and becomes part of it: batch normalisation, a ReLU, and where a tanh saturates."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from keras_mtl.models import FusedBatchNorm
from keras_mtl.tflite.qat.registry import TwinCall, activation_name

_layers = keras.layers
#: Layers that are an affine function of each channel at inference.
_NORMALISATIONS = (_layers.BatchNormalization, FusedBatchNorm)


def gain_of(layer: Any) -> np.ndarray:
    """What batch normalisation multiplies a channel by, once its mean is taken off: g / sqrt(v + e)."""
    deviation = np.sqrt(np.asarray(layer.moving_variance) + layer.epsilon)
    return np.asarray(layer.gamma) / deviation if layer.scale else 1.0 / deviation


def take_normalisation(
    call: TwinCall, kernel: np.ndarray, bias: np.ndarray, channels: Sequence[int]
) -> tuple[np.ndarray, np.ndarray]:
    """Takes the batch normalisation that follows a layer with weights into these, if one does.

    From its moving statistics, once, at the start; weights and biases then fine-tune as they will stand in the file:

        w' = w g / sqrt(v + e);   b' = (b - m) g / sqrt(v + e) + beta

    Args:
        call: of the layer.
        kernel: in the layer's own shape.
        bias: one for each output channel.
        channels: a shape of the output channels that is broadcast over the kernel.
    """
    following = call.following()
    if type(following) not in _NORMALISATIONS or following.axis not in (-1, call.rank - 1):
        return kernel, bias
    call.take()
    gain, beta = gain_of(following), np.asarray(following.beta) if following.center else 0.0
    return kernel * gain.reshape(channels), (bias - np.asarray(following.moving_mean)) * gain + beta


def relu_of(layer: Any) -> tuple[bool, float | None]:
    """Whether a layer is a ReLU, and its largest value (None without)."""
    if type(layer) is _layers.Activation:
        name = activation_name(layer.activation)
        return name in ("relu", "relu6"), 6.0 if name == "relu6" else None
    if type(layer) is _layers.ReLU and not layer.negative_slope and not layer.threshold:
        return True, None if layer.max_value is None else float(layer.max_value)
    return False, None


def is_relu(layer: Any) -> bool:
    """Whether a layer is a ReLU without a largest value."""
    return relu_of(layer) == (True, None)


def take_relu(call: TwinCall) -> tuple[bool, float | None]:
    """Takes the ReLU that follows a call into it: whether there is one, and its largest value."""
    found, most = relu_of(call.following())
    if found:
        call.take()
    return found, most


def take_plain_relu(call: TwinCall) -> bool:
    """Takes the ReLU that follows a call into it, where it has no largest value: whether there is one."""
    return is_relu(call.following()) and take_relu(call)[0]


def saturation(call: TwinCall, activation: str) -> float | None:
    """Where what follows is saturated, so that a range that reaches further only makes its steps coarser.

    Args:
        call: of a layer.
        activation: the layer's own.
    """
    following = call.following()
    if activation in ("linear", "relu") and type(following) is _layers.Activation:
        activation = activation_name(following.activation)
    half = math.atanh(1.0 - 2.0**-call.bits)
    return {"tanh": half, "sigmoid": 2.0 * half}.get(activation)
