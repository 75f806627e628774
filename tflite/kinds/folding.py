"""What follows a layer and becomes part of its operator: a ReLU, and the ends of ranges that a tanh leaves of use."""

from __future__ import annotations

import math
from typing import Any

import keras

from keras_mtl.tflite.kinds.registry import Call, activation_name

_layers = keras.layers


def relu_of(layer: Any) -> tuple[bool, float | None]:
    """Whether a layer is a ReLU, and its largest value (None without)."""
    if type(layer) is _layers.Activation:
        name = activation_name(layer.activation)
        return name in ("relu", "relu6"), 6.0 if name == "relu6" else None
    if type(layer) is _layers.ReLU and not layer.negative_slope and not layer.threshold:
        return True, None if layer.max_value is None else float(layer.max_value)
    return False, None


def take_relu(call: Call) -> tuple[bool, float | None]:
    """Takes the ReLU that follows a call into it: whether there is one, and its largest value."""
    found, most = relu_of(call.following())
    if found:
        call.take()
    return found, most


def saturation(call: Call, activation: str) -> float | None:
    """Where what follows is saturated, so that a range that reaches further only makes its steps coarser.

    Args:
        call: of a layer.
        activation: the layer's own.
    """
    following = call.following()
    if activation == "linear" and type(following) is _layers.Activation:
        activation = activation_name(following.activation)
    half = math.atanh(1.0 - 2.0**-call.bits)
    return {"tanh": half, "sigmoid": 2.0 * half}.get(activation)
