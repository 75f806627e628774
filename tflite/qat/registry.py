"""The kinds of layer that have a twin, and what builds the twin of a graph from them.

A kind is a function that is registered for classes of layers: it is given a `Call` (a layer, and the signals that it
reads) and gives the signal that the layer's twin makes. There are two contracts of what a twin is made of, each a class
of calls with a table of kinds of its own: `TracedCall` (`twins.py`), whose layers TensorFlow Lite's converter reads
ranges from, and that of `tflite.kinds`, whose operators compute whole numbers and write themselves to a file. The walk,
what is taken into what, the names and the refusals are the same.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import keras

from keras_mtl.core import ConversionError
from keras_mtl.tflite.qat.graph import Graph, Node
from keras_mtl.tflite.qat.scheme import Scheme

#: A function that builds the twin of one call of a layer: gives its signal, or a list of several.
Build = Callable[[Any], Any]


def no_twin(layer: Any, hint: str = "") -> ConversionError:
    """The refusal of a layer, by its name and kind."""
    return ConversionError(f"layer {layer.name} ({type(layer).__name__}) has no quantization-aware twin", hint=hint)


def unsupported(layer: Any, what: str, hint: str) -> ConversionError:
    """The refusal of a layer of a kind that is known, for one of its settings."""
    return ConversionError(f"layer {layer.name} ({type(layer).__name__}) has {what}", hint=hint)


class TwinCall:
    """One call of a layer: what a kind is given, and builds with. A subclass is a contract, with kinds of its own.

    Attributes:
        kinds: the function that builds the twin of a layer, by the layer's class.
        hint: what to try where a layer has none.
        layer: the Keras layer.
        scheme: the layer's scheme.
        last: the call whose output the twin gives: this one, or the last that was taken into it.
    """

    kinds: ClassVar[dict[type, Build]] = {}
    hint: ClassVar[str] = ""

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        cls.kinds = {}

    def __init__(self, builder: Any, node: Node, layer: Any = None, inputs: Sequence[Any] = ()) -> None:
        self._builder, self._node, self.last = builder, node, node
        self.layer = node.layer if layer is None else layer
        self.scheme = builder.scheme_of(node.layer.name)
        self._inputs = list(inputs) or [builder.signals[value] for value in node.inputs]
        self._inner = layer is not None

    @classmethod
    def register(cls, *layers: type) -> Callable[[Build], Build]:
        """Registers a function as the kind of some classes of layers; one that is registered already is replaced.

        Args:
            *layers: classes of Keras layers (or operations). A layer has this kind if its class is one of them exactly:
                a subclass may compute something else.

        Returns:
            A decorator. The function takes a `Call` and gives the `Signal` that the twin makes, or a list of several.
        """

        def decorate(build: Build) -> Build:
            cls.kinds.update(dict.fromkeys(layers, build))
            return build

        return decorate

    @classmethod
    def kind_of(cls, layer: Any) -> Build:
        """The function that builds the twin of a layer.

        Raises:
            ConversionError: there is none, naming the layer and what to do.
        """
        build = cls.kinds.get(type(layer))
        if build is None:
            raise no_twin(layer, cls.hint)
        return build

    @property
    def bits(self) -> int:
        """Bits of the layer's activations."""
        return self.scheme.bits

    @property
    def rank(self) -> int:
        """Dimensions of what the layer reads, with the batch."""
        return len(self._inputs[0].values.shape)

    def following(self) -> Any:
        """The layer that alone reads what this call gives; None where there is none, or not after every call."""
        if self._inner:
            return None
        found = [self._builder.graph.reader(node) for node in self._builder.graph.calls_of(self.last.layer)]
        first = found[0]
        if first is None or any(node is None or node.layer is not first.layer for node in found):
            return None
        return first.layer

    def take(self) -> Any:
        """Takes the layer of `following` into this one's twin, and gives it."""
        node = self._builder.graph.reader(self.last)
        if node is None:
            raise ValueError("nothing follows alone")
        self._builder.absorb(node)
        self.last = node
        return node.layer


@dataclass
class TwinBuilder:
    """Builds the twin of a graph. A subclass says of which contract.

    Attributes:
        graph: the float network's calls.
        scheme_of: the scheme of a layer by its name.
        signals: what was made so far, by the number of the value.
    """

    calls: ClassVar[type[TwinCall]] = TwinCall

    graph: Graph
    scheme_of: Callable[[str], Scheme]
    signals: dict[int, Any] = field(default_factory=dict)
    _absorbed: set[int] = field(default_factory=set)
    _names: set[str] = field(default_factory=set)

    def build(self) -> list[Any]:
        """Builds the twins of all calls; gives the signals of the graph's ends.

        Raises:
            ConversionError: a layer without a twin.
        """
        for node in self.graph.nodes:
            if id(node) in self._absorbed:
                continue
            call = self.calls(self, node)
            made = self.calls.kind_of(node.layer)(call)
            several = made if isinstance(made, list | tuple) else [made]
            for value, signal in zip(call.last.outputs, several, strict=True):
                self.give(value, signal)
        return [self.signals[value] for value in self.graph.ends]

    def give(self, value: int, signal: Any) -> None:
        """Takes a signal as the one of a value."""
        self.signals[value] = signal

    def name(self, name: str) -> str:
        """A name that nothing else of the twin has."""
        unique, count = name, 2
        while unique in self._names:
            unique, count = f"{name}_{count}", count + 1
        self._names.add(unique)
        return unique

    def absorb(self, node: Node) -> None:
        """Takes a call as done: it is part of the one before it."""
        self._absorbed.add(id(node))


def activation_name(activation: Any) -> str:
    """Name of an activation function; "linear" for none."""
    if activation is None:
        return "linear"
    name = keras.activations.serialize(activation)
    return name if isinstance(name, str) else str(name.get("config", name))
