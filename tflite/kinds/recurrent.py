"""GRU, LSTM and SimpleRNN, unrolled in the file: a loop of integers is what no converter and no kernel has.

Weights are constants that all steps share, so that a step costs some hundred bytes of operators. A layer of one step,
with its states as inputs and outputs, is the cell alone, as a streaming network has it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_mtl.tflite.flatbuffer import GraphWriter, Value
from keras_mtl.tflite.kinds.cells import CELLS
from keras_mtl.tflite.kinds.concatenation import joined
from keras_mtl.tflite.kinds.elementwise import Add, Multiply
from keras_mtl.tflite.kinds.grid import Signal, instead
from keras_mtl.tflite.kinds.operator import Operator
from keras_mtl.tflite.kinds.registry import Call, register
from keras_mtl.tflite.qat import Graph, Node, activation_name, unsupported

_layers = keras.layers
_KINDS = {_layers.GRU: "gru", _layers.LSTM: "lstm", _layers.SimpleRNN: "simple"}


@keras.saving.register_keras_serializable(package="keras_mtl")
class Recurrent(Operator):
    """A cell over a sequence, from states of 0 or from given ones.

    A state that is an input of the model comes as real values, and is put on the grid on which the layer gives that
    state: the integers of one step go into the next as they are. Any other one comes as a signal, and keeps its grid.

    Args:
        kind: of the cell: "gru", "lstm" or "simple".
        cell: arguments of the cell.
        backwards: whether it begins at the end.
        sequences: whether it gives all states, else the last.
        in_order: whether states of one that goes backwards come in the order of the inputs.
        starts: where the first states come from: "input" or "signal" for each; empty for states of 0.
        gives_states: whether the last states are given behind the output.
        **options: options of `Operator`.
    """

    def __init__(
        self,
        kind: str,
        cell: dict[str, Any],
        backwards: bool = False,
        sequences: bool = True,
        in_order: bool = True,
        starts: Sequence[str] = (),
        gives_states: bool = False,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self.kind, self._cell_options = kind, cell
        self.backwards, self.sequences, self.in_order = backwards, sequences, in_order
        self.starts, self.gives_states = tuple(starts), gives_states
        self.cell = CELLS[kind](**cell, name="cell")

    def call(self, *parts: Any, training: Any = None) -> Any:
        """[batch, time, features] to [batch, time, units] or [batch, units], and the states [batch, units]."""
        values, step, zero_point, *given = parts
        read = [layer(values, step, zero_point) for layer in self.cell.inputs_of]
        ends = [(tf.cast(each, tf.float32), tf.cast(zero, tf.float32)) for each, zero in self.cell.state_grids()]
        first = self._first(given, ends, tf.zeros_like(read[0][0][:, 0]))

        def advance(states: Any, now: Any) -> Any:
            made = self.cell.advance(_computed, [(each, *one[1:]) for each, one in zip(now, read, strict=True)], states)
            return tuple((each[0], *end) for each, end in zip(made, ends, strict=True))

        if tf.executing_eagerly():
            found, states = [], list(first)
            for time in self._times(values.shape[1]):
                states = [*advance(states, [one[0][:, time] for one in read])]
                found.append(states[0][0])
            made, last = tf.stack(found, axis=1), [state[0] for state in states]
        else:
            over = tuple(tf.transpose(one[0], (1, 0, 2)) for one in read)
            over = tuple(tf.reverse(one, [0]) for one in over) if self.backwards else over
            scanned = tf.scan(advance, over, first, parallel_iterations=1)
            made = tf.transpose(scanned[0][0], (1, 0, 2))
            made = tf.ensure_shape(made, (None, values.shape[1], self.cell.units))
            last = [tf.ensure_shape(state[0][-1], (None, self.cell.units)) for state in scanned]
        if not self.sequences:
            made = made[:, -1]
        elif self.backwards and self.in_order:
            made = tf.reverse(made, [1])
        behind = [part for state, end in zip(last, ends, strict=True) for part in (state, *end)]
        return made, *ends[0], *(behind if self.gives_states else ())

    def _first(self, given: Sequence[Any], ends: Sequence[Any], zeros: Any) -> tuple[Any, ...]:
        """The states before the first step, each as values, step and zero point."""
        if not self.starts:
            return tuple((zeros, *end) for end in ends)
        rest, found = list(given), []
        for source, (step, zero) in zip(self.starts, ends, strict=True):
            if source == "signal":
                values, own_step, own_zero = rest[:3]
                found.append((values, own_step, own_zero))
                del rest[:3]
                continue
            values = rest.pop(0)
            if self.rounds:
                half = float(2 ** (self.cell.bits - 1))
                levels = tf.clip_by_value(tf.floor(values / step + 0.5), -half - zero, half - 1.0 - zero)
                values = instead(levels * step, values)
            found.append((values, step, zero))
        if not self.rounds:
            self.cell.observe([each[0] for each in found])
        return tuple(found)

    def compute_output_spec(self, *parts: Any, **named: Any) -> Any:
        """Shapes of what it gives."""
        batch, *_ = made = self.out_shape(tuple(parts[0].shape))
        shapes = [made, *[(batch, self.cell.units)] * (self.cell.states if self.gives_states else 0)]
        return tuple(keras.KerasTensor(each, "float32") for shape in shapes for each in (shape, (), ()))

    def out_shape(self, *shapes: tuple[Any, ...]) -> tuple[Any, ...]:
        """[batch, time, units] or [batch, units]."""
        batch, steps, _ = shapes[0]
        return (batch, steps, self.cell.units) if self.sequences else (batch, self.cell.units)

    def _times(self, count: int) -> list[int]:
        return [*range(count)][:: -1 if self.backwards else 1]

    def to_file(self, writer: GraphWriter, *values: Value) -> Any:
        """The steps, one after the other."""
        source, *given = values
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
            parts = writer.operator(
                "UNPACK", [made], (source.shape[0], cell.units), version, options, f"{made.name}/step", steps
            )
            read.append([part.on_grid_of(made) for part in (parts if steps > 1 else [parts])])
        states = []
        for number, (step, zero) in enumerate(cell.state_grids()):
            step, zero = np.float32(step), int(zero)
            if self.starts:
                start = given[number]
                states.append(start.on_grid(cell.bits, float(step), zero) if self.starts[number] == "input" else start)
                continue
            data = np.full((source.shape[0], cell.units), zero)
            states.append(writer.constant(f"{self.name}/start_{number}", data, f"int{cell.bits}", step, zero))
        found = []
        for time in self._times(steps):
            states = cell.advance(apply, [one[time] for one in read], states)
            found.append(states[0])
        for layer in cell.operators():
            layer.name = names[id(layer)]
        made = self._listed(writer, found) if self.sequences else found[-1]
        return [made, *states] if self.gives_states else made

    def _listed(self, writer: GraphWriter, found: list[Value]) -> Value:
        """The output of every step."""
        if self.backwards and self.in_order:
            found = found[::-1]
        version = 2 if found[0].dtype == "int8" else 4
        options = ("PackOptions", {"valuesCount": len(found), "axis": 1})
        made = writer.operator(
            "PACK", found, (found[0].shape[0], len(found), self.cell.units), version, options, self.name
        )
        return made.on_grid_of(found[0])

    def get_config(self) -> dict[str, Any]:
        """All constructor arguments."""
        own = {"kind": self.kind, "cell": self._cell_options, "backwards": self.backwards}
        own |= {"starts": list(self.starts), "gives_states": self.gives_states}
        return {**super().get_config(), **own, "sequences": self.sequences, "in_order": self.in_order}


def _computed(operator: Operator, *signals: Any) -> Any:
    return operator(*(part for signal in signals for part in signal))


def _require_plain(layer: Any) -> None:
    """Refuses what a cell does not compute."""
    gates = [activation_name(layer.activation), activation_name(getattr(layer, "recurrent_activation", None))]
    wanted = ["tanh", "linear" if isinstance(layer, _layers.SimpleRNN) else "sigmoid"]
    if gates != wanted:
        raise unsupported(layer, f"the activations {', '.join(gates)}", f"use {' and '.join(wanted)}")
    if layer.stateful:
        raise unsupported(layer, "states that it keeps", "give them in and out: initial_state, return_state=True")


def reader_of_state(graph: Graph, value: int) -> Node | None:
    """The call of a recurrent layer that alone reads a value, as a state that it starts from; None of other values."""
    reader = graph.next_alone(value)
    starts = reader is not None and type(reader.layer) in _KINDS and reader.inputs.index(value) > 0
    return reader if starts else None


def _one_way(call: Call, layer: Any, signals: Sequence[Signal], role: str, in_order: bool) -> list[Signal]:
    _require_plain(layer)
    kind, (signal, *given) = _KINDS[type(layer)], signals
    if len(given) not in (0, CELLS[kind].states):
        words = f"a sequence and {CELLS[kind].states} states, or none"
        raise unsupported(layer, f"{len(signals)} inputs", f"give it {words}")
    starts = tuple("input" if each.step is None else "signal" for each in given)
    cell = {
        "features": int(signal.shape[-1] or 1),
        "units": layer.units,
        "grids": call.grid(),
        "resets_after": bool(getattr(layer, "reset_after", True)),
    }
    options = {"backwards": layer.go_backwards, "sequences": layer.return_sequences, "in_order": in_order}
    options |= {"starts": starts, "gives_states": layer.return_state}
    operator = call.operator(Recurrent, role, kind=kind, cell=cell, **options)
    if operator.starts != starts:
        raise unsupported(layer, "calls that start from different kinds of state", "give every call inputs, or none")
    kernel, recurrent, *bias = layer.get_weights()
    offset = np.zeros((2, kernel.shape[1]), np.float32)
    if bias:
        offset[: 1 if bias[0].ndim == 1 else 2] = bias[0]
    operator.cell.load(kernel, recurrent, offset)
    operator.trainable = bool(layer.trainable)
    made = operator(*signal.parts, *(part for each in given for part in each.parts))
    return [Signal(*parts, bits=call.bits) for parts in zip(made[::3], made[1::3], made[2::3], strict=True)]


@register(*_KINDS)
def recurrent(call: Call) -> Signal | list[Signal]:
    """The cell of each step; a list with its states, where the layer gives them."""
    made = _one_way(call, call.layer, call.inputs, "", in_order=False)
    return made if call.layer.return_state else made[0]


@register(_layers.Bidirectional)
def bidirectional(call: Call) -> Signal:
    """Both directions, behind each other, added or multiplied."""
    layer, signal = call.layer, call.input
    if type(layer.forward_layer) not in _KINDS:
        raise unsupported(layer, f"a {type(layer.forward_layer).__name__} in it", "use GRU, LSTM or SimpleRNN")
    if layer.return_state:
        raise unsupported(layer, "states that are given out", "two layers, one of which has go_backwards=True")
    ways = [("forward", layer.forward_layer), ("backward", layer.backward_layer)]
    both = [_one_way(call, one, [signal], way, in_order=True)[0] for way, one in ways]
    if layer.merge_mode == "concat":
        # States are on one grid.
        return joined(call, [both[0], Signal(both[1].values, both[0].step, both[0].zero_point, both[1].bits)], -1)
    kinds = {"sum": Add, "mul": Multiply}
    if layer.merge_mode not in kinds:
        raise unsupported(layer, f"merge mode {layer.merge_mode}", "concat, sum or mul")
    return call.apply(call.operator(kinds[layer.merge_mode], grid=call.grid()), *both)
