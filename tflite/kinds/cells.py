"""The cells of recurrent layers: one step, said once, of operators that are applied.

In a twin the operators compute, in a file they are written. States are -1..1 less the level that the integers lack; the
memory of an LSTM has a range of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np

from keras_mtl.tflite.kinds.activations import Squashed
from keras_mtl.tflite.kinds.elementwise import Add, Multiply, Subtract
from keras_mtl.tflite.kinds.operator import Operator
from keras_mtl.tflite.kinds.weighted import Dense

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

    def observe(self, states: Sequence[Any]) -> None:
        """Shows states that are given from outside to the ranges that are to hold them, while these are calibrated."""

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

    def observe(self, states: Sequence[Any]) -> None:
        """The memory's."""
        self.memory.grid.passed(states[1])

    def advance(self, apply: Apply, read: list[Any], states: list[Any]) -> list[Any]:
        """The next state and memory."""
        state, memory = states
        entry, forget, candidate, output = (self.gate(apply, i, one, state) for i, one in enumerate(read))
        memory = apply(self.memory, apply(self.kept, forget, memory), apply(self.written, entry, candidate))
        return [apply(self.next_state, output, apply(self.shown, memory)), memory]


CELLS: dict[str, type[Cell]] = {"gru": GruCell, "lstm": LstmCell, "simple": SimpleCell}
