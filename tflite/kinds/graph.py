"""A functional model as a list of layer calls, with nested models entered and layers that do nothing left out."""

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


@dataclass
class Graph:
    """Layer calls in the order of computation.

    Attributes:
        inputs: numbers of the values that the model is given, in the order of its inputs.
        nodes: the calls.
        outputs: numbers of the values that it gives, in the order of its outputs.
    """

    inputs: list[int] = field(default_factory=list)
    nodes: list[Node] = field(default_factory=list)
    outputs: list[int] = field(default_factory=list)
    _values: int = 0

    def new_value(self) -> int:
        """The number of a value that is not made yet."""
        self._values += 1
        return self._values - 1

    def reader(self, node: Node) -> Node | None:
        """The one call that reads what a call makes; None where several do, or it is an output of the model."""
        if len(node.outputs) != 1 or node.outputs[0] in self.outputs:
            return None
        readers = [other for other in self.nodes if node.outputs[0] in other.inputs]
        return readers[0] if len(readers) == 1 and len(readers[0].inputs) == 1 else None

    def calls_of(self, layer: Any) -> list[Node]:
        """All calls of a layer."""
        return [node for node in self.nodes if node.layer is layer]


def graph_of(model: keras.Model) -> Graph:
    """The calls of a functional model.

    Raises:
        ConversionError: it, or a model in it, is not functional, or a layer is called with masks or states.
    """
    graph = Graph()
    functional = _functional(model)
    graph.inputs = [graph.new_value() for _ in functional.inputs]
    graph.outputs = _enter(functional, graph.inputs, graph)
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
                made = [graph.new_value() for _ in call.outputs]
                others = tuple(
                    each for each in call.arguments.args if not isinstance(each, keras.KerasTensor | list | tuple)
                )
                graph.nodes.append(Node(layer, tuple(read), tuple(made), others))
            known.update({id(tensor): value for tensor, value in zip(call.outputs, made, strict=True)})
    return [known[id(tensor)] for tensor in model.outputs]
