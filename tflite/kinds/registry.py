"""The contract of twins that write themselves: operators that compute the whole numbers of the devices' kernels.

A kind that is registered here builds operators, which say how they are written to a file; so matching, twin, grid and
conversion of a kind are in one place. The walk over a graph is that of all twins (`tflite.qat`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

from keras_mtl.tflite.kinds.grid import Signal
from keras_mtl.tflite.kinds.operator import Operator, Requantize
from keras_mtl.tflite.qat import SCHEMES, Scheme, TwinBuilder, TwinCall, unsupported


class Call(TwinCall):
    """One call of a layer: what a kind is given, and builds with.

    Attributes:
        layer: the Keras layer.
        scheme: the layer's scheme.
        last: the call whose output the twin gives: this one, or the last that was taken into it.
    """

    hint = "replace it by layers that have one (docs/qat.md lists them), or register a kind for it"

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

    def build(self, layer: Any, *signals: Signal) -> Signal:
        """The twin of a layer that this one holds, on given signals.

        Raises:
            ConversionError: it has none, or gives several signals.
        """
        made = self.kind_of(layer)(Call(self._builder, self._node, layer, signals))
        if not isinstance(made, Signal):
            raise unsupported(layer, "several outputs", "take one of them")
        return made

    def takes_weights(self, operator: Any, *weights: Any) -> Any:
        """Gives an operator its first weights, and the layer's `trainable`."""
        operator.set_weights([*weights, *operator.get_weights()[len(weights) :]])
        operator.trainable = bool(getattr(self.layer, "trainable", True))
        return operator


@dataclass
class Builder(TwinBuilder):
    """Builds the twin of a graph of operators."""

    calls: ClassVar[type[TwinCall]] = Call

    _operators: dict[Any, Operator] = field(default_factory=dict)

    def operator(self, key: Any, make: Callable[[], Operator]) -> Operator:
        """The operator of a key: a layer that is called twice has the same one."""
        if key not in self._operators:
            self._operators[key] = make()
        return self._operators[key]


register = Call.register


def known_kinds() -> list[str]:
    """Names of the classes that have a kind."""
    return sorted({layer.__name__ for layer in Call.kinds})


def _of_bits(scheme: Scheme, bits: int | None) -> Scheme:
    return next(replace(each, learning=scheme.learning) for each in SCHEMES.values() if each.bits == bits)
