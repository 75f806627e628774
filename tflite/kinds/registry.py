"""The kinds of layer that have a twin, and what builds the twin of a graph from them.

A kind is a function that is registered for classes of layers: it is given a `Call` (a layer, and the signals that it
reads) and gives the signal that the layer's twin makes. On the way it builds operators, which say how they are written
to a file; so matching, twin, grid and conversion of a kind are in one place.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import keras

from keras_mtl.core import ConversionError
from keras_mtl.tflite.kinds.graph import Graph, Node
from keras_mtl.tflite.kinds.grid import Signal
from keras_mtl.tflite.kinds.operator import Operator, Requantize
from keras_mtl.tflite.qat import SCHEMES, Scheme

#: A function that builds the twin of one call of a layer.
Build = Callable[["Call"], Signal | Sequence[Signal]]
_KINDS: dict[type, Build] = {}


def register(*layers: type) -> Callable[[Build], Build]:
    """Registers a function as the kind of some classes of layers; one that is registered already is replaced.

    Args:
        *layers: classes of Keras layers (or operations). A layer has this kind if its class is one of them exactly: a
            subclass may compute something else.

    Returns:
        A decorator. The function takes a `Call` and gives the `Signal` that the twin makes, or a list of several.
    """

    def decorate(build: Build) -> Build:
        _KINDS.update(dict.fromkeys(layers, build))
        return build

    return decorate


def kind_of(layer: Any) -> Build:
    """The function that builds the twin of a layer.

    Raises:
        ConversionError: there is none, naming the layer and what to do.
    """
    build = _KINDS.get(type(layer))
    if build is None:
        raise ConversionError(
            f"layer {layer.name} ({type(layer).__name__}) has no quantization-aware twin",
            hint="replace it by layers that have one (docs/qat.md lists them), or register a kind for it",
        )
    return build


def known_kinds() -> list[str]:
    """Names of the classes that have a kind."""
    return sorted({layer.__name__ for layer in _KINDS})


def unsupported(layer: Any, what: str, hint: str) -> ConversionError:
    """The refusal of a layer of a kind that is known, for one of its settings."""
    return ConversionError(f"layer {layer.name} ({type(layer).__name__}) has {what}", hint=hint)


@dataclass
class Builder:
    """Builds the twin of a graph.

    Attributes:
        graph: the float network's calls.
        scheme_of: the scheme of a layer by its name.
        signals: what was made so far, by the number of the value.
    """

    graph: Graph
    scheme_of: Callable[[str], Scheme]
    signals: dict[int, Signal] = field(default_factory=dict)
    _absorbed: set[int] = field(default_factory=set)
    _operators: dict[Any, Operator] = field(default_factory=dict)
    _names: set[str] = field(default_factory=set)

    def build(self) -> list[Signal]:
        """Builds the twins of all calls; gives the signals of the graph's outputs.

        Raises:
            ConversionError: a layer without a twin.
        """
        for node in self.graph.nodes:
            if id(node) in self._absorbed:
                continue
            call = Call(self, node)
            made = kind_of(node.layer)(call)
            several = [made] if isinstance(made, Signal) else list(made)
            self.signals.update(zip(call.last.outputs, several, strict=True))
        return [self.signals[value] for value in self.graph.outputs]

    def name(self, name: str) -> str:
        """A name that no other operator of the twin has."""
        unique, count = name, 2
        while unique in self._names:
            unique, count = f"{name}_{count}", count + 1
        self._names.add(unique)
        return unique

    def absorb(self, node: Node) -> None:
        """Takes a call as done: it is part of the operator before it."""
        self._absorbed.add(id(node))

    def operator(self, key: Any, make: Callable[[], Operator]) -> Operator:
        """The operator of a key: a layer that is called twice has the same one."""
        if key not in self._operators:
            self._operators[key] = make()
        return self._operators[key]


class Call:
    """One call of a layer: what a kind is given, and builds with.

    Attributes:
        layer: the Keras layer.
        scheme: the layer's scheme.
        last: the call whose output the twin gives: this one, or the last that was taken into it.
    """

    def __init__(self, builder: Builder, node: Node, layer: Any = None, inputs: Sequence[Signal] = ()) -> None:
        self._builder, self._node, self.last = builder, node, node
        self.layer = node.layer if layer is None else layer
        self.scheme = builder.scheme_of(node.layer.name)
        self._inputs = list(inputs) or [builder.signals[value] for value in node.inputs]
        self._inner = layer is not None

    @property
    def bits(self) -> int:
        """Bits of the layer's activations."""
        return self.scheme.bits

    @property
    def inputs(self) -> list[Signal]:
        """The signals that the layer reads, on integers of its scheme."""
        return [self.in_bits(signal, self.bits) for signal in self._inputs]

    @property
    def input(self) -> Signal:
        """The one signal that the layer reads.

        Raises:
            ConversionError: it reads several.
        """
        if len(self._inputs) != 1:
            raise unsupported(self.layer, f"{len(self._inputs)} inputs", "give it one")
        return self.inputs[0]

    def in_bits(self, signal: Signal, bits: int, name: str = "") -> Signal:
        """A signal on integers of so many bits: itself, or behind a QUANTIZE."""
        if signal.bits == bits:
            return signal
        name = name or f"{self.layer.name}_in_{bits}_bits"
        grid = None if bits > signal.bits else self.grid(bits=bits)
        return self.apply(Requantize(grid=grid, name=self._builder.name(name)), signal, bits=bits)

    def grid(self, positive: bool = False, bits: int | None = None, **options: Any) -> dict[str, Any]:
        """Arguments of an operator's grid.

        Args:
            positive: whether no value is below 0.
            bits: 8 or 16; the layer's by default.
            **options: arguments of `Grid` beyond those of the scheme: `fixed` with `low` and `high`, `most`.
        """
        scheme = self.scheme if bits in (None, self.bits) else _of_bits(self.scheme, bits)
        return self.grid_of(scheme, positive, **options)

    @staticmethod
    def grid_of(scheme: Scheme, positive: bool = False, **options: Any) -> dict[str, Any]:
        """Arguments of a grid for a scheme."""
        return {
            "bits": scheme.bits,
            "symmetric": scheme.symmetric,
            "positive": positive and not scheme.symmetric,
            "headroom": scheme.headroom,
            "learning": scheme.learning,
            **options,
        }

    def operator(self, kind: Callable[..., Operator], role: str = "", /, **options: Any) -> Any:
        """Makes an operator of the twin; a layer that is called again has the same one.

        Args:
            kind: class of the operator.
            role: what it is to the layer, where the layer's twin has several.
            **options: its arguments.
        """
        name = f"{self.layer.name}_{role}" if role else self.layer.name
        key = (id(self.layer), role, self.bits)
        return self._builder.operator(key, lambda: kind(name=self._builder.name(name), **options))

    def apply(self, operator: Any, *signals: Signal, bits: int | None = None) -> Signal:
        """Calls an operator that makes one signal.

        Args:
            operator: the operator.
            *signals: what it reads.
            bits: of what it makes; those of what it reads by default.
        """
        made = operator(*(part for signal in signals for part in signal.parts))
        values, step, zero_point = made
        return Signal(values, step, zero_point, bits or signals[0].bits)

    def move(self, operator: Any, signal: Signal) -> Signal:
        """Calls an operator that keeps its input's grid: it is given values alone, and gives values alone."""
        return Signal(operator(signal.values), signal.step, signal.zero_point, signal.bits)

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

    def build(self, layer: Any, *signals: Signal) -> Signal:
        """The twin of a layer that this one holds, on given signals.

        Raises:
            ConversionError: it has none, or gives several signals.
        """
        made = kind_of(layer)(Call(self._builder, self._node, layer, signals))
        if not isinstance(made, Signal):
            raise unsupported(layer, "several outputs", "take one of them")
        return made

    def takes_weights(self, operator: Any, *weights: Any) -> Any:
        """Gives an operator its first weights, and the layer's `trainable`."""
        operator.set_weights([*weights, *operator.get_weights()[len(weights) :]])
        operator.trainable = bool(getattr(self.layer, "trainable", True))
        return operator


def _of_bits(scheme: Scheme, bits: int | None) -> Scheme:
    return next(replace(each, learning=scheme.learning) for each in SCHEMES.values() if each.bits == bits)


def activation_name(activation: Any) -> str:
    """Name of an activation function; "linear" for none."""
    if activation is None:
        return "linear"
    name = keras.activations.serialize(activation)
    return name if isinstance(name, str) else str(name.get("config", name))
