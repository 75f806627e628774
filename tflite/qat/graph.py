"""Functional models as a list of layer calls, with nested models entered and layers that do nothing left out.

What follows a layer follows from which calls read its value, whatever the names and the nesting.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import keras

from keras_mtl.core import ConversionError

_layers = keras.layers
#: Layers that give what they are given at inference.
INERT = (
    _layers.Dropout,
    _layers.SpatialDropout1D,
    _layers.SpatialDropout2D,
    _layers.GaussianNoise,
    _layers.GaussianDropout,
    _layers.AlphaDropout,
    _layers.ActivityRegularization,
    _layers.Identity,
)


@dataclass(frozen=True, eq=False)
class Node:
    """One call of a layer.

    Attributes:
        layer: the Keras layer (or operation).
        inputs: numbers of the values that it reads.
        outputs: numbers of the values that it makes.
        arguments: what else it is called with, by name: constants of an operation.
    """

    layer: Any
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    arguments: tuple[Any, ...] = ()

    @property
    def output(self) -> int:
        """The value that it makes, of a layer that makes one."""
        (value,) = self.outputs
        return value


@dataclass
class Graph:
    """Layer calls in the order of computation.

    Attributes:
        inputs: numbers of the values that the model is given, in the order of its inputs.
        nodes: the calls.
        ends: the values that are given: the outputs of one model in their order, or what each model of a chain gives.
            No call is taken into another across them.
    """

    inputs: list[int] = field(default_factory=list)
    nodes: list[Node] = field(default_factory=list)
    ends: list[int] = field(default_factory=list)
    _values: int = 0

    @property
    def output(self) -> int:
        """The value that a whole chain gives."""
        return self.ends[-1]

    def new_value(self) -> int:
        """The number of a value that is not made yet."""
        self._values += 1
        return self._values - 1

    def next_alone(self, value: int) -> Node | None:
        """The one call that reads a value; None where several do, or it is given."""
        readers = [node for node in self.nodes if value in node.inputs]
        return readers[0] if len(readers) == 1 and value not in self.ends else None

    def reader(self, node: Node) -> Node | None:
        """The one call that reads what a call makes, and nothing else."""
        found = self.next_alone(node.outputs[0]) if len(node.outputs) == 1 else None
        return found if found is not None and len(found.inputs) == 1 else None

    def calls_of(self, layer: Any) -> list[Node]:
        """All calls of a layer."""
        return [node for node in self.nodes if node.layer is layer]


def graph_of(model: keras.Model) -> Graph:
    """The calls of a functional model.

    Raises:
        ConversionError: it, or a model in it, is not functional, or a layer is called with a mask.
    """
    graph = Graph()
    functional = _functional(model)
    graph.inputs = [graph.new_value() for _ in functional.inputs]
    graph.ends = _enter(functional, graph.inputs, graph)
    return graph


def flatten(models: Sequence[keras.Model]) -> Graph:
    """Chains functional models, each of which reads what the one before gives.

    Raises:
        ConversionError: a model that is not functional or has several inputs or outputs.
    """
    graph = Graph()
    graph.inputs = values = [graph.new_value()]
    for model in map(_functional, models):
        if len(model.inputs) != 1 or len(model.outputs) != 1:
            raise ConversionError(
                f"model {model.name} has several inputs or outputs", hint="one of each can be quantized"
            )
        values = _enter(model, values, graph)
        graph.ends += values
    return graph


def _functional(model: Any) -> Any:
    model = getattr(model, "_functional", None) or model  # a Sequential model keeps a functional one
    if not isinstance(model, keras.Model) or not hasattr(model, "_nodes_by_depth"):
        raise ConversionError(
            f"model {model.name} is not functional, so its layers can't be quantized",
            hint="build it from keras.Input and layers",
        )
    return model


def _enter(model: Any, sources: Sequence[int], graph: Graph) -> list[int]:
    """Appends a model's calls to a graph. Gives the values of its outputs."""
    known = {id(tensor): source for tensor, source in zip(model.inputs, sources, strict=True)}
    for depth in sorted(model._nodes_by_depth, reverse=True):
        for call in model._nodes_by_depth[depth]:
            if call.is_input:
                continue
            read = [known[id(tensor)] for tensor in call.input_tensors]
            layer = call.operation
            if isinstance(layer, keras.Model):
                made = _enter(_functional(layer), read, graph)
            elif isinstance(layer, INERT):
                made = read
            else:
                if call.arguments.kwargs.get("mask") is not None:
                    raise ConversionError(
                        f"layer {layer.name} ({type(layer).__name__}) is called with a mask",
                        hint="leave it out, and give sequences of one length",
                    )
                made = [graph.new_value() for _ in call.outputs]
                others = tuple(
                    each for each in call.arguments.args if not isinstance(each, keras.KerasTensor | list | tuple)
                )
                graph.nodes.append(Node(layer, tuple(read), tuple(made), others))
            known.update({id(tensor): value for tensor, value in zip(call.outputs, made, strict=True)})
    return [known[id(tensor)] for tensor in model.outputs]
