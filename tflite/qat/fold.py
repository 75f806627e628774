"""Folds what follows a convolution or a dense layer into it, as one operator of the file computes it.

Batch normalisation is folded from its moving statistics, once, at the start; weights and biases then fine-tune as they
will stand in the file:

    w' = w g / sqrt(v + e);   b' = (b - m) g / sqrt(v + e) + beta
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from keras_mtl.tflite.qat.flat_graph import FlatGraph, Node

_layers = keras.layers


@dataclass(frozen=True)
class Folded:
    """A layer with weights, and what is computed together with it.

    Attributes:
        kernel: kernel in the layer's own shape, with the normalisation in it.
        bias: one for each output channel.
        rectified: whether a ReLU is in it.
        last: the last of the calls that are in it.
        inside: the values between the calls.
    """

    kernel: np.ndarray
    bias: np.ndarray
    rectified: bool
    last: Node
    inside: tuple[int, ...]


def fold(graph: FlatGraph, node: Node) -> Folded:
    """What is computed together with a convolution, depthwise convolution or dense layer."""
    layer, last, inside = node.layer, node, list[int]()
    kernel = np.asarray(layer.get_weights()[0])
    shape = kernel.shape
    if isinstance(layer, _layers.DepthwiseConv2D):
        kernel = kernel.reshape(*shape[:2], -1)  # output channel = input channel x multiplier
    bias = np.asarray(layer.get_weights()[1]) if layer.use_bias else np.zeros(kernel.shape[-1], np.float32)
    following = graph.next_alone(node.output)
    if following and isinstance(following.layer, _layers.BatchNormalization) and _is_linear(layer):
        gain, mean, beta = _affine(following.layer)
        kernel, bias = kernel * gain, (bias - mean) * gain + beta
        inside, last = [node.output], following
    rectified = activation_of(layer) == "relu"
    following = graph.next_alone(last.output)
    if following and not rectified and _is_linear(layer) and is_relu(following.layer):
        rectified = True
        inside, last = [*inside, last.output], following
    return Folded(kernel.reshape(shape), bias, rectified, last, tuple(inside))


def activation_of(layer: Any) -> str:
    """Name of a layer's own activation; "linear" for none."""
    return keras.activations.serialize(layer.activation) if layer.activation else "linear"


def is_relu(layer: Any) -> bool:
    """Whether a layer is a plain ReLU."""
    if type(layer) is _layers.Activation:
        return activation_of(layer) == "relu"
    plain = type(layer) is _layers.ReLU and layer.max_value is None
    return plain and not layer.negative_slope and not layer.threshold


def _is_linear(layer: Any) -> bool:
    return activation_of(layer) == "linear"


def _affine(layer: keras.layers.BatchNormalization) -> tuple[np.ndarray, np.ndarray, Any]:
    """Batch normalisation at inference, (x - mean) gain + beta, as (gain, mean, beta)."""
    deviation = np.sqrt(np.asarray(layer.moving_variance) + layer.epsilon)
    gain = np.asarray(layer.gamma) / deviation if layer.scale else 1.0 / deviation
    return gain, np.asarray(layer.moving_mean), np.asarray(layer.beta) if layer.center else 0.0
