"""The quantized signals between the twins of a network's layers, and their ranges."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import keras

from keras_mtl.tflite.qat.fake_quant import FakeQuant
from keras_mtl.tflite.qat.flat_graph import FlatGraph, Node, no_twin
from keras_mtl.tflite.qat.scheme import Scheme

_layers = keras.layers
#: Name of the layer that gives what the encoder gives.
EMBEDDINGS = "embeddings"
#: Layers that move values and compute none: the range of their input is theirs.
MOVERS = (_layers.MaxPooling2D, _layers.Reshape, _layers.Flatten)


@dataclass(frozen=True)
class Signal:
    """A quantized tensor of the twin.

    Attributes:
        values: symbolic tensor.
        step: step of its levels: symbolic scalar, or a number where the format fixes it.
        zero_point: the integer that stands for 0, where it is known before calibration.
        row: whether [batch, time, 1] is kept as [batch, 1, time], as weights of a mean are.
    """

    values: Any
    step: Any
    zero_point: int | None = None
    row: bool = False


@dataclass
class Signals:
    """The signals of a graph, by the value of the float network that each stands for.

    Attributes:
        graph: the float network's calls.
        scheme: how activations are quantized.
        input: the quantized input.
        done: the signals so far; None for values inside a folded operator.
    """

    graph: FlatGraph
    scheme: Scheme
    input: Signal
    done: dict[int, Signal | None] = field(default_factory=dict)
    _names: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.done[0] = self.input
        self._names |= {"log_mel", EMBEDDINGS}

    def signal(self, value: int) -> Signal:
        """The signal of a value of the float network."""
        signal = self.done[value]
        if signal is None:
            raise KeyError(value)
        return signal

    def mark_embeddings(self, value: int) -> None:
        """Gives a signal the layer "embeddings", unless the network's own layer of that name makes it."""
        signal = self.signal(value)
        if signal.values._keras_history.operation.name != EMBEDDINGS:
            marked = _layers.Identity(name=EMBEDDINGS)(signal.values)
            self.done[value] = replace(signal, values=marked)

    def ranged(self, name: str, value: int, values: Any, step: Any, positive: bool = False, **options: Any) -> Signal:
        """Values with a range of their own, which is the output's where nothing but moves comes after it."""
        if self._leads_to_output(value):
            options["headroom"] = self.scheme.output_headroom
        range_of = FakeQuant.for_scheme(self.scheme, positive=positive, name=f"{name}_range", **options)
        levels, step = range_of(values) if step is None else range_of(values, accumulator_step=step)
        return Signal(levels, step, _zero_point(self.scheme, positive))

    def fixed(self, low: float, high: float, name: str, values: Any) -> Signal:
        """The range low..high that the format fixes, less the step that an integer type lacks at its end."""
        if self.scheme.symmetric:
            # The format's own rounding is too fine to need imitation, and a fake quant here would add operators.
            return Signal(values, 2.0 ** -(self.scheme.bits - 1), 0)
        step = (high - low) / 2**self.scheme.bits
        range_of = FakeQuant(self.scheme.bits, fixed=True, low=low, high=high - step, name=name)
        levels, step = range_of(values)
        return Signal(levels, step, 0 if low < 0 else _zero_point(self.scheme, True))

    def plain(self, node: Node) -> Signal:
        """The one signal that a layer reads, in the shape that the float network has it in."""
        signal = self.signal(node.inputs[0])
        if len(node.inputs) != 1 or signal.row:
            raise no_twin(node.layer)
        return signal

    def give(self, value: int, signal: Signal, inside: tuple[int, ...] = ()) -> None:
        """Records the signal of a value, and the values that lie inside the operator that makes it."""
        self.done.update(dict.fromkeys(inside))
        self.done[value] = signal

    def name(self, name: str) -> str:
        """A name that no other layer of the twin has."""
        unique, count = name, 2
        while unique in self._names:
            unique, count = f"{name}_{count}", count + 1
        self._names.add(unique)
        return unique

    def _leads_to_output(self, value: int) -> bool:
        following = self.graph.next_alone(value)
        if following is None or type(following.layer) not in MOVERS:
            return value == self.graph.output
        return self._leads_to_output(following.output)


def _zero_point(scheme: Scheme, positive: bool) -> int | None:
    if scheme.symmetric:
        return 0
    return -(2 ** (scheme.bits - 1)) if positive else None
