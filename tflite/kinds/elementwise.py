"""Sums, differences and products of two signals, and of more by turns."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from keras_mtl.tflite.flatbuffer import GraphWriter, Value
from keras_mtl.tflite.kinds import fixed_point
from keras_mtl.tflite.kinds.grid import Signal
from keras_mtl.tflite.kinds.operator import Operator, fused
from keras_mtl.tflite.kinds.registry import Call, register
from keras_mtl.tflite.qat import take_relu, unsupported

_layers = keras.layers


class _OfTwo(Operator):
    """An operator of two signals whose shapes can be broadcast.

    Args:
        rectified: whether a ReLU is part of it.
        **options: options of `Operator`.
    """

    op, version_16, potent = "", 3, True

    def __init__(self, rectified: bool = False, **options: Any) -> None:
        super().__init__(**options)
        self.rectified = rectified

    def real(self, *values: Any) -> Any:
        """The function, and the ReLU."""
        return self._rectified(self.function(*values))

    def levels(self, *parts: Any) -> Any:
        """What the kernel makes of them."""
        one, one_step, _, other, other_step, _ = parts
        first, second = fixed_point.whole(one / one_step), fixed_point.whole(other / other_step)
        return self._rectified(self.whole(first, one_step, second, other_step))

    def _rectified(self, values: Any) -> Any:
        return tf.maximum(values, tf.zeros_like(values)) if self.rectified else values

    def function(self, one: Any, other: Any) -> Any:
        """What it computes of real values."""
        raise NotImplementedError

    def whole(self, one: Any, one_step: Any, other: Any, other_step: Any) -> Any:
        """What the kernel makes of levels, in steps of the output."""
        raise NotImplementedError

    def out_shape(self, *shapes: tuple[Any, ...]) -> tuple[Any, ...]:
        """The shape that both can be broadcast to."""
        pairs = zip(*_of_equal_rank(*shapes), strict=True)
        return tuple(None if None in pair else max(pair) for pair in pairs)

    def to_file(self, writer: GraphWriter, *values: Value) -> Value:
        """The operator."""
        one, other = values
        shape = self.out_shape(one.shape, other.shape)
        options: dict[str, Any] = {"fusedActivationFunction": fused(self.rectified)}
        if self.potent:
            options["potScaleInt16"] = False
        version = 2 if one.dtype == "int8" else self.version_16
        made = writer.operator(
            self.op, [one, other], shape, version, (f"{self.op.capitalize()}Options", options), self.name
        )
        return self.grid.on_grid(made)

    def get_config(self) -> dict[str, Any]:
        """All constructor arguments."""
        return {**super().get_config(), "rectified": self.rectified}


def _of_equal_rank(one: tuple[Any, ...], other: tuple[Any, ...]) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
    rank = max(len(one), len(other))
    return (1,) * (rank - len(one)) + one, (1,) * (rank - len(other)) + other


@keras.saving.register_keras_serializable(package="keras_mtl")
class Add(_OfTwo):
    """ADD."""

    op = "ADD"

    def whole(self, one: Any, one_step: Any, other: Any, other_step: Any) -> Any:
        """The sum."""
        return fixed_point.added(one, one_step, other, other_step, self.target, self.grid.bits)

    def function(self, one: Any, other: Any) -> Any:
        """The sum."""
        return tf.add(one, other)


@keras.saving.register_keras_serializable(package="keras_mtl")
class Subtract(_OfTwo):
    """SUB."""

    op = "SUB"

    def whole(self, one: Any, one_step: Any, other: Any, other_step: Any) -> Any:
        """The difference."""
        return fixed_point.added(one, one_step, other, other_step, self.target, self.grid.bits, sign=-1)

    def function(self, one: Any, other: Any) -> Any:
        """The difference."""
        return tf.subtract(one, other)


@keras.saving.register_keras_serializable(package="keras_mtl")
class Multiply(_OfTwo):
    """MUL."""

    op, version_16, potent = "MUL", 4, False

    def whole(self, one: Any, one_step: Any, other: Any, other_step: Any) -> Any:
        """The product."""
        return fixed_point.product(one, one_step, other, other_step, self.target)

    def function(self, one: Any, other: Any) -> Any:
        """The product."""
        return tf.multiply(one, other)


def _in_turn(call: Call, kind: type[_OfTwo], positive: bool = False) -> Signal:
    """The operator of the first two signals, then of what it gives and the next one, and so on; and a ReLU."""
    first, *others = call.inputs
    if not others:
        raise unsupported(call.layer, "one input", "give it two")
    rectified, most = take_relu(call)
    for number, other in enumerate(others, start=1):
        last = number == len(others)
        options = {"rectified": rectified, "grid": call.grid(rectified, most=most)} if last else {"grid": call.grid()}
        first = call.apply(call.operator(kind, "" if last else f"{number}", **options), first, other)
    return first


@register(_layers.Add)
def add(call: Call) -> Signal:
    """ADD, one less than there are inputs."""
    return _in_turn(call, Add)


@register(_layers.Subtract)
def subtract(call: Call) -> Signal:
    """SUB."""
    return _in_turn(call, Subtract)


@register(_layers.Multiply)
def multiply(call: Call) -> Signal:
    """MUL, one less than there are inputs."""
    return _in_turn(call, Multiply)
