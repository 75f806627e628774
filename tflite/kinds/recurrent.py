"""GRU, LSTM and SimpleRNN, unrolled in the file: a loop of integers is what no converter and no kernel has.

What a cell computes is said once, of operators that are applied: in the twin they compute, in the file they are
written. Weights are constants that all steps share, so that a step costs some hundred bytes of operators. States are
-1..1 less the level that the integers lack; the memory of an LSTM has a range of its own.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_mtl.tflite.flatbuffer import GraphWriter, Value
from keras_mtl.tflite.kinds.activations import Squashed
from keras_mtl.tflite.kinds.concatenation import joined
from keras_mtl.tflite.kinds.elementwise import Add, Multiply, Subtract
from keras_mtl.tflite.kinds.grid import Signal
from keras_mtl.tflite.kinds.operator import Operator
from keras_mtl.tflite.kinds.registry import Call, register
from keras_mtl.tflite.kinds.weighted import Dense
from keras_mtl.tflite.qat import activation_name, unsupported

_layers = keras.layers
#: Difference of two values in -1..1. A little wider, so that not all scales of a sum are powers of two: for these
#: LiteRT has another kernel, which refuses this one's file.
_DIFFERENCE = 2.01
#: Applies an operator to what it reads.
Apply = Callable[..., Any]


class Cell(Operator):
    """One step of a recurrent layer: one dense layer for the input and one for the state of each gate.

    Args:
        features: of the input.
        units: of the state.
        grids: arguments of the grids, those of the scheme.
        resets_after: of a GRU, whether the reset gate is applied to the product with the state.
        **options: options of `Operator`.
    """

    #: The gates in Keras's order of the columns of the weights, and their functions.
    gates: tuple[tuple[str, str], ...] = ()
    #: How many states there are; the first one is the output.
    states = 1

    def __init__(
        self, features: int, units: int, grids: dict[str, Any], resets_after: bool = True, **options: Any
    ) -> None:
        super().__init__(**options)
        self.features, self.units, self.grid_options, self.resets_after = features, units, grids, resets_after
        bits = grids["bits"]
        self.inputs_of, self.states_of, self.sums, self.squashed = [], [], [], []
        for gate, function in self.gates:
            most = float(np.arctanh(1.0 - 2.0**-bits)) * (1.0 if function == "tanh" else 2.0)
            self.inputs_of.append(Dense((features, units), grid=grids, name=f"{gate}_input"))
            self.states_of.append(Dense((units, units), grid=grids, name=f"{gate}_state"))
            self.sums.append(Add(grid={**grids, "most": most}, name=f"{gate}_sum"))
            self.squashed.append(Squashed(function, bits, name=gate))

    @property
    def bits(self) -> int:
        """Bits of all signals."""
        return self.grid_options["bits"]

    def unit_grid(self) -> dict[str, Any]:
        """The grid of a state."""
        top = 1.0 - 2.0 ** (1 - self.bits)
        return {**self.grid_options, "fixed": True, "low": -top if self.bits == 16 else -1.0, "high": top}

    def state_grids(self) -> list[Any]:
        """The grid of each state."""
        raise NotImplementedError

    def advance(self, apply: Apply, read: list[Any], states: list[Any]) -> list[Any]:
        """What the input adds to each gate, and the states, to the next states."""
        raise NotImplementedError

    def gate(self, apply: Apply, number: int, read: Any, state: Any) -> Any:
        """One gate of the input's part and a state."""
        total = apply(self.sums[number], read, apply(self.states_of[number], state))
        return apply(self.squashed[number], total)

    def load(self, kernel: np.ndarray, recurrent: np.ndarray, bias: np.ndarray) -> None:
        """Takes a Keras layer's weights; `bias` is [2, gates x units], of the input and of the state."""
        for number in range(len(self.gates)):
            columns = slice(number * self.units, (number + 1) * self.units)
            apart = self.bias_apart(number)
            own = [bias[0, columns] + (0.0 if apart else bias[1, columns]), bias[1, columns] * float(apart)]
            for layer, weights, offset in zip(
                (self.inputs_of[number], self.states_of[number]), (kernel, recurrent), own, strict=True
            ):
                layer.set_weights([weights[:, columns], offset, *layer.get_weights()[2:]])

    def bias_apart(self, number: int) -> bool:
        """Whether a gate's bias of the state can't be added to that of the input."""
        return False

    def get_config(self) -> dict[str, Any]:
        """All constructor arguments."""
        own = {"features": self.features, "units": self.units, "resets_after": self.resets_after}
        return {**super().get_config(), **own, "grids": self.grid_options}


@keras.saving.register_keras_serializable(package="keras_mtl")
class SimpleCell(Cell):
    """h' = tanh(W x + U h)."""

    gates = (("state", "tanh"),)

    def state_grids(self) -> list[Any]:
        """That of TANH."""
        return [self.squashed[0].fixed()]

    def advance(self, apply: Apply, read: list[Any], states: list[Any]) -> list[Any]:
        """The next state."""
        return [self.gate(apply, 0, read[0], states[0])]


@keras.saving.register_keras_serializable(package="keras_mtl")
class GruCell(Cell):
    """z = sigmoid(W_z x + U_z h); r = sigmoid(W_r x + U_r h); c = tanh(W_c x + r (U_c h)); h' = c + z (h - c)."""

    gates = (("update", "sigmoid"), ("reset", "sigmoid"), ("candidate", "tanh"))

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        wide = {**self.grid_options, "fixed": True, "low": -_DIFFERENCE, "high": _DIFFERENCE}
        # Of the product with the state after it was reset, or of the state that is reset before it.
        self.product = Multiply(grid=self.grid_options if self.resets_after else self.unit_grid(), name="product")
        self.difference = Subtract(grid=wide, name="difference")
        self.move = Multiply(grid=wide, name="move")
        self.next_state = Add(grid=self.unit_grid(), name="next_state")

    def bias_apart(self, number: int) -> bool:
        """The candidate's is reset with the product."""
        return number == 2 and self.resets_after

    def state_grids(self) -> list[Any]:
        """That of a state."""
        return [self.next_state.grid.levels()]

    def advance(self, apply: Apply, read: list[Any], states: list[Any]) -> list[Any]:
        """The next state."""
        (state,) = states
        update, reset = self.gate(apply, 0, read[0], state), self.gate(apply, 1, read[1], state)
        if self.resets_after:
            part = apply(self.product, reset, apply(self.states_of[2], state))
        else:
            part = apply(self.states_of[2], apply(self.product, reset, state))
        candidate = apply(self.squashed[2], apply(self.sums[2], read[2], part))
        move = apply(self.move, update, apply(self.difference, state, candidate))
        return [apply(self.next_state, candidate, move)]


@keras.saving.register_keras_serializable(package="keras_mtl")
class LstmCell(Cell):
    """i, f, o = sigmoid(W x + U h); g = tanh(W_g x + U_g h); c' = f c + i g; h' = o tanh(c')."""

    gates = (("input", "sigmoid"), ("forget", "sigmoid"), ("candidate", "tanh"), ("output", "sigmoid"))
    states = 2

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.kept = Multiply(grid=self.grid_options, name="kept")
        self.written = Multiply(grid=self.unit_grid(), name="written")
        self.memory = Add(grid=self.grid_options, name="memory")
        self.shown = Squashed("tanh", self.bits, name="shown")
        self.next_state = Multiply(grid=self.unit_grid(), name="next_state")

    def state_grids(self) -> list[Any]:
        """That of a state, and that of the memory."""
        return [self.next_state.grid.levels(), self.memory.grid.levels()]

    def advance(self, apply: Apply, read: list[Any], states: list[Any]) -> list[Any]:
        """The next state and memory."""
        state, memory = states
        entry, forget, candidate, output = (self.gate(apply, i, one, state) for i, one in enumerate(read))
        memory = apply(self.memory, apply(self.kept, forget, memory), apply(self.written, entry, candidate))
        return [apply(self.next_state, output, apply(self.shown, memory)), memory]


_CELLS = {"gru": GruCell, "lstm": LstmCell, "simple": SimpleCell}


@keras.saving.register_keras_serializable(package="keras_mtl")
class Recurrent(Operator):
    """A cell over a sequence, from states of 0.

    Args:
        kind: of the cell: "gru", "lstm" or "simple".
        cell: arguments of the cell.
        backwards: whether it begins at the end.
        sequences: whether it gives all states, else the last.
        in_order: whether states of one that goes backwards come in the order of the inputs.
        **options: options of `Operator`.
    """

    def __init__(
        self,
        kind: str,
        cell: dict[str, Any],
        backwards: bool = False,
        sequences: bool = True,
        in_order: bool = True,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self.kind, self._cell_options = kind, cell
        self.backwards, self.sequences, self.in_order = backwards, sequences, in_order
        self.cell = _CELLS[kind](**cell, name="cell")

    def call(self, *parts: Any, training: Any = None) -> Any:
        """[batch, time, features] to [batch, time, units] or [batch, units], with step and zero point."""
        values, step, zero_point = parts
        read = [layer(values, step, zero_point) for layer in self.cell.inputs_of]
        ends = [(tf.cast(each, tf.float32), tf.cast(zero, tf.float32)) for each, zero in self.cell.state_grids()]
        start = tf.zeros_like(read[0][0][:, 0])

        def advance(carried: Any, now: Any) -> Any:
            states = [(each, *end) for each, end in zip(carried, ends, strict=True)]
            given = [(each, *one[1:]) for each, one in zip(now, read, strict=True)]
            made = self.cell.advance(_computed, given, states)
            return tuple(each[0] for each in made)

        first = (start,) * self.cell.states
        if tf.executing_eagerly():
            found, carried = [], first
            for time in self._times(values.shape[1]):
                carried = advance(carried, [one[0][:, time] for one in read])
                found.append(carried[0])
            made = tf.stack(found, axis=1)
        else:
            over = tuple(tf.transpose(one[0], (1, 0, 2)) for one in read)
            over = tuple(tf.reverse(one, [0]) for one in over) if self.backwards else over
            made = tf.transpose(tf.scan(advance, over, first, parallel_iterations=1)[0], (1, 0, 2))
            made = tf.ensure_shape(made, (None, values.shape[1], self.cell.units))
        if not self.sequences:
            return made[:, -1], *ends[0]
        return tf.reverse(made, [1]) if self.backwards and self.in_order else made, *ends[0]

    def out_shape(self, *shapes: tuple[Any, ...]) -> tuple[Any, ...]:
        """[batch, time, units] or [batch, units]."""
        batch, steps, _ = shapes[0]
        return (batch, steps, self.cell.units) if self.sequences else (batch, self.cell.units)

    def _times(self, count: int) -> list[int]:
        return [*range(count)][:: -1 if self.backwards else 1]

    def to_file(self, writer: GraphWriter, *values: Value) -> Value:
        """The steps, one after the other."""
        (source,) = values
        steps, cell = source.shape[1], self.cell
        names = {id(layer): layer.name for layer in cell.operators()}

        def apply(operator: Operator, *given: Value) -> Value:
            operator.name = f"{self.name}/{names[id(operator)]}"
            return operator.to_file(writer, *given)

        read = []
        for layer in cell.inputs_of:
            made = apply(layer, source)
            version = 2 if made.dtype == "int8" else 4
            options = ("UnpackOptions", {"num": steps, "axis": 1})
            parts = writer.operator("UNPACK", [made], (1, cell.units), version, options, f"{made.name}/step", steps)
            read.append([part.on_grid_of(made) for part in (parts if steps > 1 else [parts])])
        states = []
        for number, (step, zero) in enumerate(cell.state_grids()):
            step, zero = np.float32(step), int(zero)
            start = np.full((1, cell.units), zero)
            states.append(writer.constant(f"{self.name}/start_{number}", start, f"int{cell.bits}", step, zero))
        found = []
        for time in self._times(steps):
            states = cell.advance(apply, [one[time] for one in read], states)
            found.append(states[0])
        for layer in cell.operators():
            layer.name = names[id(layer)]
        if not self.sequences:
            return found[-1]
        if self.backwards and self.in_order:
            found.reverse()
        version = 2 if found[0].dtype == "int8" else 4
        options = ("PackOptions", {"valuesCount": steps, "axis": 1})
        made = writer.operator("PACK", found, (1, steps, cell.units), version, options, self.name)
        return made.on_grid_of(found[0])

    def get_config(self) -> dict[str, Any]:
        """All constructor arguments."""
        own = {"kind": self.kind, "cell": self._cell_options, "backwards": self.backwards}
        return {**super().get_config(), **own, "sequences": self.sequences, "in_order": self.in_order}


def _computed(operator: Operator, *signals: Any) -> Any:
    return operator(*(part for signal in signals for part in signal))


def _require_plain(layer: Any) -> None:
    """Refuses what a cell does not compute."""
    gates = [activation_name(layer.activation), activation_name(getattr(layer, "recurrent_activation", None))]
    wanted = ["tanh", "linear" if isinstance(layer, _layers.SimpleRNN) else "sigmoid"]
    if gates != wanted:
        raise unsupported(layer, f"the activations {', '.join(gates)}", f"use {' and '.join(wanted)}")
    if layer.stateful or layer.return_state:
        raise unsupported(layer, "states that are kept or given out", "stateful=False, return_state=False")


def _one_way(call: Call, layer: Any, signal: Signal, role: str, in_order: bool) -> Signal:
    _require_plain(layer)
    kind = {_layers.GRU: "gru", _layers.LSTM: "lstm", _layers.SimpleRNN: "simple"}[type(layer)]
    cell = {
        "features": int(signal.shape[-1] or 1),
        "units": layer.units,
        "grids": call.grid(),
        "resets_after": bool(getattr(layer, "reset_after", True)),
    }
    options = {"backwards": layer.go_backwards, "sequences": layer.return_sequences, "in_order": in_order}
    operator = call.operator(Recurrent, role, kind=kind, cell=cell, **options)
    kernel, recurrent, *bias = layer.get_weights()
    offset = np.zeros((2, kernel.shape[1]), np.float32)
    if bias:
        offset[: 1 if bias[0].ndim == 1 else 2] = bias[0]
    operator.cell.load(kernel, recurrent, offset)
    operator.trainable = bool(layer.trainable)
    return call.apply(operator, signal)


@register(_layers.GRU, _layers.LSTM, _layers.SimpleRNN)
def recurrent(call: Call) -> Signal:
    """The cell of each step."""
    return _one_way(call, call.layer, call.input, "", in_order=False)


@register(_layers.Bidirectional)
def bidirectional(call: Call) -> Signal:
    """Both directions, behind each other, added or multiplied."""
    layer, signal = call.layer, call.input
    if type(layer.forward_layer) not in (_layers.GRU, _layers.LSTM, _layers.SimpleRNN):
        raise unsupported(layer, f"a {type(layer.forward_layer).__name__} in it", "use GRU, LSTM or SimpleRNN")
    ways = [("forward", layer.forward_layer), ("backward", layer.backward_layer)]
    both = [_one_way(call, one, signal, way, in_order=True) for way, one in ways]
    if layer.merge_mode == "concat":
        # States are on one grid.
        return joined(call, [both[0], Signal(both[1].values, both[0].step, both[0].zero_point, both[1].bits)], -1)
    kinds = {"sum": Add, "mul": Multiply}
    if layer.merge_mode not in kinds:
        raise unsupported(layer, f"merge mode {layer.merge_mode}", "concat, sum or mul")
    return call.apply(call.operator(kinds[layer.merge_mode], grid=call.grid()), *both)
