"""Flattens functional models, one after the other, into a list of layer calls with the values that they read and make.

Nested functional models are entered, and layers that do nothing at inference (dropout) are left out. What follows a
layer can then be told from who reads its value, whatever the names and the nesting.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import keras

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
