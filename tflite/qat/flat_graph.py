"""Flattens functional models into a list of layer calls with the values that they read and make.

Nested functional models are entered, and layers that do nothing at inference (dropout) are left out. What follows a
layer follows from which calls read its value, whatever the names and the nesting; `fold` takes it into the layer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import keras
import numpy as np

from keras_mtl.core import ConversionError

_layers = keras.layers
_INERT = (
    _layers.Dropout,
    _layers.SpatialDropout1D,
    _layers.SpatialDropout2D,
    _layers.GaussianNoise,
    _layers.Identity,
)


@dataclass(frozen=True)
class Node:
    """One call of a layer.

    Attributes:
        layer: the Keras layer (or operation) itself.
        inputs: numbers of the values that it reads.
        output: number of the value that it makes.
    """

    layer: Any
    inputs: tuple[int, ...]
    output: int


@dataclass
class FlatGraph:
    """Layer calls in the order of computation. Value 0 is the input.

    Attributes:
        nodes: the calls.
        ends: for each of the models that were chained, the value that it gives.
    """

    nodes: list[Node] = field(default_factory=list)
    ends: list[int] = field(default_factory=list)

    @property
    def output(self) -> int:
        """The value that the whole graph gives."""
        return self.ends[-1]

    def next_alone(self, value: int) -> Node | None:
        """The one call that reads a value; None where several do, or the value is what a model gives."""
        readers = [node for node in self.nodes if value in node.inputs]
        return readers[0] if len(readers) == 1 and value not in self.ends else None


def flatten(models: Sequence[keras.Model]) -> FlatGraph:
    """Chains functional models, each of which reads what the one before gives.

    Raises:
        ConversionError: a model that is not functional or has several inputs or outputs.
    """
    graph = FlatGraph()
    value = 0
    for model in models:
        (value,) = _enter(model, [value], graph)
        graph.ends.append(value)
    return graph


def _enter(model: Any, sources: list[int], graph: FlatGraph) -> list[int]:
    """Appends a model's calls to a graph. Gives the values of its outputs."""
    model = getattr(model, "_functional", model)  # a Sequential model keeps a functional one
    if not isinstance(model, keras.Model) or not hasattr(model, "_nodes_by_depth"):
        raise ConversionError(
            f"model {model.name} is not functional, so its layers can't be quantized",
            hint="build it from keras.Input and layers",
        )
    if len(model.inputs) != len(sources) or len(model.outputs) != 1:
        raise ConversionError(f"model {model.name} has several inputs or outputs", hint="one of each can be quantized")
    known = {id(tensor): source for tensor, source in zip(model.inputs, sources, strict=True)}
    for depth in sorted(model._nodes_by_depth, reverse=True):
        for call in model._nodes_by_depth[depth]:
            if call.is_input:
                continue
            read = [known[id(tensor)] for tensor in call.input_tensors]
            if isinstance(call.operation, keras.Model):
                made = _enter(call.operation, read, graph)
            elif isinstance(call.operation, _INERT):
                made = read
            else:
                made = [1 + max([0, *(node.output for node in graph.nodes)])]
                graph.nodes.append(Node(call.operation, tuple(read), made[0]))
            known.update({id(tensor): value for tensor, value in zip(call.outputs, made, strict=True)})
    return [known[id(tensor)] for tensor in model.outputs]


def no_twin(layer: Any) -> ConversionError:
    """The refusal of a layer, by its name and kind."""
    return ConversionError(f"layer {layer.name} ({type(layer).__name__}) has no quantization-aware twin")


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
    """What is computed together with a convolution, depthwise convolution or dense layer, as one operator of the file.

    Batch normalisation is folded from its moving statistics, once, at the start; weights and biases then fine-tune as
    they will stand in the file:

        w' = w g / sqrt(v + e);   b' = (b - m) g / sqrt(v + e) + beta
    """
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
