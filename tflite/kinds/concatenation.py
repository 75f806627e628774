"""Concatenation: kernels copy integers, so all parts must be on one grid."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from keras_mtl.tflite.flatbuffer import GraphWriter, Value
from keras_mtl.tflite.kinds import fixed_point
from keras_mtl.tflite.kinds.grid import Signal
from keras_mtl.tflite.kinds.operator import Operator
from keras_mtl.tflite.kinds.registry import Call, register

_layers = keras.layers


@keras.saving.register_keras_serializable(package="keras_mtl")
class Concatenate(Operator):
    """CONCATENATION on a grid that holds all parts, each behind a QUANTIZE; none of these on one grid already.

    Args:
        axis: of the parts, from the end.
        **options: options of `Operator`; without a grid the parts have one already.
    """

    def __init__(self, axis: int, **options: Any) -> None:
        super().__init__(**options)
        self.axis = axis

    def call(self, *parts: Any, training: Any = None) -> Any:
        """Signals to a signal."""
        if self.grid is not None:
            return super().call(*parts, training=training)
        return self.real(*parts[::3]), parts[1], parts[2]

    def real(self, *values: Any) -> Any:
        """The parts behind each other."""
        return tf.concat(values, self.axis)

    def levels(self, *parts: Any) -> Any:
        """Each part on the grid."""
        pairs = zip(parts[::3], parts[1::3], strict=True)
        return tf.concat([fixed_point.rescaled(values, step, self.target) for values, step in pairs], self.axis)

    def out_shape(self, *shapes: tuple[Any, ...]) -> tuple[Any, ...]:
        """The sum of the parts' sizes along the axis."""
        shape = list(shapes[0])
        shape[self.axis] = sum(each[self.axis] for each in shapes)
        return tuple(shape)

    def to_file(self, writer: GraphWriter, *values: Value) -> Value:
        """QUANTIZE of the parts, and CONCATENATION."""
        parts = list(values)
        if self.grid is not None:
            parts = [self._on_grid(writer, value) for value in parts]
        shape, axis = self.out_shape(*(part.shape for part in parts)), self.axis % len(parts[0].shape)
        options = ("ConcatenationOptions", {"axis": axis})
        version = 2 if parts[0].dtype == "int8" else 3
        made = writer.operator("CONCATENATION", parts, shape, version, options, self.name)
        return made.on_grid_of(parts[0])

    def _on_grid(self, writer: GraphWriter, value: Value) -> Value:
        made = writer.operator("QUANTIZE", [value], value.shape, 2, ("QuantizeOptions", {}), f"{self.name}/part")
        return self.grid.on_grid(made)

    def get_config(self) -> dict[str, Any]:
        """All constructor arguments."""
        return {**super().get_config(), "axis": self.axis}


@register(_layers.Concatenate)
def concatenate(call: Call) -> Signal:
    """CONCATENATION."""
    signals = call.inputs
    return joined(call, signals, call.layer.axis)


def joined(call: Call, signals: list[Signal], axis: int, role: str = "") -> Signal:
    """Signals behind each other along an axis."""
    axis = axis - len(signals[0].shape) if axis > 0 else axis
    alike = all(signal.step is signals[0].step for signal in signals)
    operator = call.operator(Concatenate, role, axis=axis, grid=None if alike else call.grid())
    return call.apply(operator, *signals)
