"""The quantization-aware twin of a GRU: a cell of integer operators, and the layer that steps it over a sequence.

The cell is what goes into the file, one step at a time, because the converter crashes on loops of integers and
TensorFlow Lite Micro never comes back from them. With x the input and h the state, all on their levels (Cho et al.
2014, in the form that resets after the product):

    z = sigmoid(W_z x + U_z h);  r = sigmoid(W_r x + U_r h);  c = tanh(W_c x + r (U_c h));  h' = c + z (h - c)

The last is written so, and not as z h + (1 - z) c, to need no constant. Each product with a matrix has a range of its
own, since those of x and of h differ; a gate's range ends where its sigmoid or tanh is saturated.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf

from keras_mtl.tflite.qat.fake_quant import FakeQuant
from keras_mtl.tflite.qat.layers import FakeQuantDense
from keras_mtl.tflite.qat.scheme import SCHEMES, Scheme

#: Kinds of gate, in Keras's order of the columns of a GRU's weights.
GATES = ("update", "reset", "candidate")
#: Difference of two values in -1..1. A little wider, so that no scale is a power of two: for sums of 16 bits whose
#: scales all are, LiteRT has a second kernel, which refuses these.
_DIFFERENCE = 2.01


def state_range(scheme: Scheme, name: str) -> FakeQuant:
    """The range of a state, -1..1 less the level that the integers lack at its end: the same for input and output."""
    top = 1.0 - 2.0 ** (1 - scheme.bits)
    return FakeQuant(scheme.bits, scheme.symmetric, fixed=True, low=-1.0, high=top, name=name)


def state_step(scheme: Scheme) -> float:
    """Step of a state's levels."""
    return float(2.0 ** (1 - scheme.bits))


@keras.saving.register_keras_serializable(package="keras_mtl")
class FakeQuantGRUCell(keras.layers.Layer):
    """One step of a GRU with 8-bit weights, one scale for each matrix of a gate.

    Args:
        units: values of the state.
        scheme: "int8" or "int16x8": the levels of everything but the weights.
        **options: options of `keras.layers.Layer`.
    """

    def __init__(self, units: int, scheme: str = "int16x8", **options: Any) -> None:
        super().__init__(**options)
        self.units, self.scheme = units, scheme
        kind = SCHEMES[scheme]  # whose ranges learn by gradient: a loop is no place for moving averages
        self.inputs_of = [FakeQuantDense(units, name=f"{gate}_input") for gate in GATES]
        self.states_of = [FakeQuantDense(units, name=f"{gate}_state") for gate in GATES]
        self.input_ranges = [FakeQuant.for_scheme(kind, name=f"{gate}_input_range") for gate in GATES]
        self.state_ranges = [FakeQuant.for_scheme(kind, name=f"{gate}_state_range") for gate in GATES]
        self.sum_ranges = [
            FakeQuant.for_scheme(kind, name=f"{gate}_range", most=_saturation(kind, gate)) for gate in GATES
        ]
        self.product_range = FakeQuant.for_scheme(kind, name="product_range")
        wide: dict[str, Any] = {"fixed": True, "low": -_DIFFERENCE, "high": _DIFFERENCE}
        self.difference_range = FakeQuant(kind.bits, kind.symmetric, name="difference_range", **wide)
        self.move_range = FakeQuant(kind.bits, kind.symmetric, name="move_range", **wide)
        self.state_range = state_range(kind, "state_range")
        # 16-bit kernels give sigmoid and tanh on levels of their own, which need no imitation.
        self.squashed = [] if kind.symmetric else [_squashed(kind, gate) for gate in GATES]

    def build(self, inputs_shape: Any, state_shape: Any = None, **steps: Any) -> None:
        """Makes the weights for inputs [..., features]."""
        for layer in self.inputs_of:
            layer.build(inputs_shape)
        for layer in self.states_of:
            layer.build((None, self.units))
        self.built = True

    def call(self, inputs: Any, state: Any, input_step: Any) -> Any:
        """Inputs [batch, features], their step and a state [batch, units] to the next state [batch, units]."""
        return self.advance(self.read(inputs, input_step), state)

    def read(self, inputs: Any, input_step: Any) -> list[Any]:
        """Inputs [..., features] to what they add to each gate, [..., units]."""
        read = []
        for layer, range_of in zip(self.inputs_of, self.input_ranges, strict=True):
            values, step = layer(inputs, input_step=input_step)
            read.append(range_of(values, accumulator_step=step)[0])
        return read

    def advance(self, read: list[Any], state: Any) -> Any:
        """What the input adds to each gate [batch, units], and a state, to the next state."""
        step = state_step(SCHEMES[self.scheme])
        recurrent = []
        for layer, range_of in zip(self.states_of, self.state_ranges, strict=True):
            # Rounded to the nearest, not as the kernels do: it costs a third of a step's operators, and moves no
            # probability by more than a few 16-bit levels.
            recurrent.append(range_of(layer(state, input_step=step)[0])[0])
        update = self._squash(0, tf.add(read[0], recurrent[0]))
        reset = self._squash(1, tf.add(read[1], recurrent[1]))
        product, _ = self.product_range(tf.multiply(reset, recurrent[2]))
        candidate = self._squash(2, tf.add(read[2], product))
        difference, _ = self.difference_range(tf.subtract(state, candidate))
        move, _ = self.move_range(tf.multiply(update, difference))
        return self.state_range(tf.add(candidate, move))[0]

    def _squash(self, gate: int, total: Any) -> Any:
        total, _ = self.sum_ranges[gate](total)
        squashed = tf.tanh(total) if GATES[gate] == "candidate" else tf.sigmoid(total)
        return self.squashed[gate](squashed)[0] if self.squashed else squashed

    def load(self, cell: Any) -> None:
        """Takes the weights of a built `keras.layers.GRU` (or its cell); biases of x and h are one where they can be.

        The input's bias of the update and the reset gate takes the state's too: they are added anyway.
        """
        kernel, recurrent, bias = (value.numpy() for value in (cell.kernel, cell.recurrent_kernel, cell.bias))
        for i, gate in enumerate(GATES):
            columns = slice(i * self.units, (i + 1) * self.units)
            apart = gate == "candidate"
            self.inputs_of[i].set_weights([kernel[:, columns], bias[0, columns] + (0.0 if apart else bias[1, columns])])
            self.states_of[i].set_weights([recurrent[:, columns], bias[1, columns] * float(apart)])

    def compute_output_shape(self, inputs_shape: Any, state_shape: Any, **steps: Any) -> Any:
        """The state's shape."""
        return state_shape

    def get_config(self) -> dict[str, Any]:
        """All constructor arguments."""
        return {**super().get_config(), "units": self.units, "scheme": self.scheme}


@keras.saving.register_keras_serializable(package="keras_mtl")
class FakeQuantGRU(keras.layers.Layer):
    """A GRU over a sequence, from a state of 0: the steps of a `FakeQuantGRUCell`.

    Args:
        units: values of the state.
        scheme: "int8" or "int16x8".
        go_backwards: whether it begins at the end. The states come in the order of the inputs all the same.
        **options: options of `keras.layers.Layer`.
    """

    def __init__(self, units: int, scheme: str = "int16x8", go_backwards: bool = False, **options: Any) -> None:
        super().__init__(**options)
        self.units, self.scheme, self.go_backwards = units, scheme, go_backwards
        self.cell = FakeQuantGRUCell(units, scheme, name="cell")

    def build(self, inputs_shape: Any, input_step_shape: Any = None) -> None:
        """Makes the weights."""
        self.cell.build(inputs_shape)
        self.built = True

    def call(self, inputs: Any, input_step: Any) -> Any:
        """[batch, time, features] and their step to the states [batch, time, units]."""
        states = self._scan(self.cell.read(inputs, input_step), self.cell.advance)
        return tf.ensure_shape(tf.transpose(states, (1, 0, 2)), (None, inputs.shape[1], self.units))

    def observe(self, inputs: Any, input_step: Any) -> tuple[list[FakeQuant], list[Any]]:
        """The ranges of the cell, and the values that each would get if none of them rounded [time, batch, units]."""
        cell = self.cell
        inside = [one for one in cell._flatten_layers() if isinstance(one, FakeQuant)]
        inside = [one for one in inside if one not in cell.input_ranges]

        def advance(read: list[Any], carried: Any) -> Any:
            state = cell.advance(read, carried[0])
            return state, [(one.observed or []).pop() for one in inside]

        @tf.function(autograph=False)
        def both(inputs: Any) -> Any:
            read = cell.read(inputs, input_step)
            return read, self._scan(read, advance, [inside])[1]

        for one in (*inside, *cell.input_ranges):
            one.observed = []
        read, values = both(tf.convert_to_tensor(inputs))
        for one in (*inside, *cell.input_ranges):
            one.observed = None
        return [*cell.input_ranges, *inside], [*read, *values]

    def _scan(self, read: list[Any], advance: Callable[[list[Any], Any], Any], also: Any = ()) -> Any:
        """What `advance` gives for each step, in the order of the inputs: a state, or a state and values beside it."""
        # What depends on the input alone was computed for all steps at once.
        steps = tf.transpose(tf.stack(read), (2, 0, 1, 3))
        start = tf.zeros_like(steps[0, 0])
        beside = tuple([start for _ in values] for values in also)
        return tf.scan(
            lambda carried, one: advance(tf.unstack(one, num=len(GATES)), carried),
            steps,
            (start, *beside) if beside else start,
            parallel_iterations=1,
            reverse=self.go_backwards,
        )

    def compute_output_shape(self, inputs_shape: Any, input_step_shape: Any = None) -> Any:
        """[batch, time, units]."""
        return (*inputs_shape[:-1], self.units)

    def get_config(self) -> dict[str, Any]:
        """All constructor arguments."""
        own = {"units": self.units, "scheme": self.scheme, "go_backwards": self.go_backwards}
        return {**super().get_config(), **own}


def _saturation(scheme: Scheme, gate: str) -> float:
    """Where tanh or sigmoid is within half a level of its end."""
    half = math.atanh(1.0 - 2.0**-scheme.bits)
    return half if gate == "candidate" else 2.0 * half


def _squashed(scheme: Scheme, gate: str) -> FakeQuant:
    low, high = (-1.0, 1.0) if gate == "candidate" else (0.0, 1.0)
    top = high - (high - low) / 2**scheme.bits
    return FakeQuant(scheme.bits, fixed=True, low=low, high=top, name=f"{gate}_squashed")
