"""What all operators of a twin have in common: how they are called, saved, and written to a file."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from keras_mtl.tflite.flatbuffer import GraphWriter, Value
from keras_mtl.tflite.kinds import fixed_point
from keras_mtl.tflite.kinds.grid import Grid, instead

_ACTIVATION = {False: 0, True: 1}  # of the schema: NONE, RELU


class Operator(keras.layers.Layer):
    """One operator of the file, or a few that belong together, with the grid of what it gives.

    It is called with three tensors for each signal that it reads (values, step, zero point), and gives three for each
    that it makes; one that keeps its input's grid is called with values alone and gives values alone. A subclass says
    what it computes of real values (`real`), which whole numbers the kernel makes of the levels (`levels`), and how it
    is written (`to_file`).

    Args:
        grid: arguments of its `Grid`; None for one that keeps its input's, or has one that the format fixes.
        **options: options of `keras.layers.Layer`.

    Attributes:
        rounds: whether it computes what the kernel does. Else values pass as real numbers: while ranges are
            calibrated inside a loop, and to see what the rounding of a layer costs.
    """

    supports_jit = False  # whole numbers must stay so, and XLA would fuse what rounds

    def __init__(self, grid: dict[str, Any] | None = None, **options: Any) -> None:
        super().__init__(**{"dtype": "float32", **options})
        self._grid_options = grid
        self.grid: Any = None if grid is None else Grid(**{"name": "grid", **grid})
        self.rounds = True

    def build(self, *shapes: Any, **named: Any) -> None:
        """Nothing: weights are made by the constructor."""
        self.built = True

    def call(self, *parts: Any, training: Any = None) -> Any:
        """Signals to a signal, each as values, step and zero point."""
        real = self.real(*parts[::3])
        if not self.rounds:
            return self.grid.passed(real)
        return self.grid(real, levels=self.levels(*parts), training=training)

    def compute_output_spec(self, *parts: Any, **named: Any) -> Any:
        """Shapes of a signal; where `out_shape` knows none, those that a trace has."""
        shape = self.out_shape(*(tuple(part.shape) for part in parts[::3]))
        if shape is None:
            return super().compute_output_spec(*parts, **named)
        return tuple(keras.KerasTensor(each, "float32") for each in (shape, (), ()))

    def out_shape(self, *shapes: tuple[Any, ...]) -> tuple[Any, ...] | None:
        """The shape of what it makes of values of some shapes: that of the first one by default."""
        return shapes[0]

    def real(self, *values: Any) -> Any:
        """What it computes of real values."""
        raise NotImplementedError

    def levels(self, *parts: Any) -> Any:
        """What the kernel makes of signals: whole numbers of the grid's steps, less its zero point."""
        raise NotImplementedError

    # Methods, since Keras saves whatever is an attribute.
    def operators(self) -> list[Operator]:
        """Itself, and those that it is made of."""
        return [layer for layer in self._flatten_layers() if isinstance(layer, Operator)]

    @property
    def target(self) -> Any:
        """Step of its grid."""
        return self.grid.levels()[0]

    def grids(self) -> list[Grid]:
        """Its ranges that are calibrated, in the order of computation."""
        return [layer for layer in self._flatten_layers() if isinstance(layer, Grid) and not layer.fixed]

    def to_file(self, writer: GraphWriter, *values: Value) -> Any:
        """Writes the operator.

        Args:
            writer: the graph.
            *values: what it reads.

        Returns:
            What it makes, on its grid; a list, where it makes several.
        """
        raise NotImplementedError

    def get_config(self) -> dict[str, Any]:
        """All constructor arguments."""
        return {**super().get_config(), **({} if self._grid_options is None else {"grid": self._grid_options})}


def levels_of(values: Any, step: Any) -> Any:
    """Values on levels as whole numbers of steps, in float32; gradients pass."""
    exact = values / tf.stop_gradient(step)
    return instead(tf.round(exact), exact)


def fused(rectified: bool) -> int:
    """The schema's number of an operator's fused activation: ReLU, or none."""
    return _ACTIVATION[rectified]


def bits_of(value: Value) -> int:
    """Bits of a value of a file."""
    return int(str(value.dtype).removeprefix("int"))


@keras.saving.register_keras_serializable(package="keras_mtl")
class Input(Operator):
    """Real values to the grid of an input of the file."""

    def call(self, *parts: Any, training: Any = None) -> Any:
        """Real values to values on levels, their step and zero point."""
        real = tf.cast(parts[0], tf.float32)
        return self.grid(real, training=training) if self.rounds else self.grid.passed(real)

    def to_file(self, writer: GraphWriter, *values: Value) -> Value:
        """An input of the file needs no operator."""
        return self.grid.on_grid(values[0])


@keras.saving.register_keras_serializable(package="keras_mtl")
class Requantize(Operator):
    """A signal on another grid: QUANTIZE. Where 8 bits become 16 without a grid of their own, nothing is lost."""

    def call(self, *parts: Any, training: Any = None) -> Any:
        """A signal to a signal."""
        if self.grid is not None:
            return super().call(*parts, training=training)
        values, step, zero_point = parts
        fine = step / 128.0
        made = fixed_point.whole(values / step) * 128
        values = instead(tf.cast(made, tf.float32) * fine, values) if self.rounds else values
        return values, fine, tf.zeros_like(zero_point)

    def real(self, *values: Any) -> Any:
        """The same."""
        return values[0]

    def levels(self, *parts: Any) -> Any:
        """The nearest."""
        return fixed_point.rescaled(parts[0], parts[1], self.target)

    def to_file(self, writer: GraphWriter, *values: Value) -> Value:
        """QUANTIZE."""
        (source,) = values
        made = writer.operator("QUANTIZE", [source], source.shape, 2, ("QuantizeOptions", {}), self.name)
        return made.on_grid(16, source.scale / 128.0, 0) if self.grid is None else self.grid.on_grid(made)
