"""UNIDIRECTIONAL_SEQUENCE_LSTM: the standard cell, without peepholes, projection and normalisation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from keras_mtl.firmware_host.reference.accumulators import Accumulator
from keras_mtl.firmware_host.reference.activations import Logistic16, Tanh16, power_of_two, sigmoid_table
from keras_mtl.firmware_host.reference.arithmetic import (
    MOST_SHIFT_32,
    MOST_SHIFT_64,
    Multipliers,
    finish,
    limits,
    requantize32,
    wrap32,
)
from keras_mtl.firmware_host.reference.node import Node, Tensor

#: Places of the inputs; of weights and biases those of the input gate, which the forget, cell and output gates follow.
_INPUT, _WEIGHTS, _RECURRENT, _BIASES, _HIDDEN, _CELL, _COUNT = 0, 1, 5, 12, 18, 19, 24
_ABSENT = (9, 10, 11, 16, 17, 20, 21, 22, 23)
_GATES = ("input", "forget", "cell", "output")
#: Steps of what goes into a gate's function, and of what comes out.
_GATE_STEP, _OUTPUT_STEP = 2.0**-12, 2.0**-15
_LEAST, _MOST = limits("int16")


@dataclass(frozen=True, eq=False)
class Gate:
    """One gate: a function of the sum of two dense layers, each rounded to 16 bits.

    Attributes:
        data, hidden: what becomes of the sums of the input and of the hidden state.
        function: LOGISTIC or TANH of 16 bits.
    """

    data: Accumulator
    hidden: Accumulator
    function: Logistic16 | Tanh16

    def __call__(
        self, data: np.ndarray, hidden: np.ndarray, weights: np.ndarray, recurrent: np.ndarray, bias: np.ndarray
    ) -> np.ndarray:
        """Data [batch, inputs] and hidden states [batch, units] to outputs int16 [batch, units]."""
        first = self.data.outputs(self.data.shifted(data) @ weights.T.astype(np.float64), bias)
        second = self.hidden.outputs(self.hidden.shifted(hidden) @ recurrent.T.astype(np.float64), None)
        return self.function(_added(first, second))[0]


@dataclass(frozen=True, eq=False)
class Lstm:
    """UNIDIRECTIONAL_SEQUENCE_LSTM.

    Attributes:
        gates: by name: input, forget, cell, output.
        forget, input, output: factors of the products of the forget gate and the cell, of the input and the cell gate,
            and of the output gate and the cell's hyperbolic tangent.
        tanh: of the cell.
        clip: the cell's greatest size; 0 for none.
        hidden_offset: zero point of the hidden state.
        dtype: of input, hidden state and output.
        time_major: whether time is the first axis, and not the second.
    """

    gates: dict[str, Gate]
    forget: Multipliers
    input: Multipliers
    output: Multipliers
    tanh: Tanh16
    clip: int
    hidden_offset: int
    dtype: str
    time_major: bool

    def __call__(self, *inputs: Any) -> tuple[np.ndarray]:
        """The operator's 24 inputs, of which the hidden state and the cell are changed, to outputs for each time."""
        steps = inputs[_INPUT] if self.time_major else np.swapaxes(inputs[_INPUT], 0, 1)
        hidden, cell = (inputs[place].reshape(steps.shape[1], -1) for place in (_HIDDEN, _CELL))
        outputs = []
        for data in steps:
            made = {
                name: self.gates[name](
                    data, hidden, inputs[_WEIGHTS + place], inputs[_RECURRENT + place], inputs[_BIASES + place]
                )
                for place, name in enumerate(_GATES)
            }
            kept = _product(made["forget"], cell, self.forget)
            cell = _added(kept, _product(made["input"], made["cell"], self.input))
            if self.clip:
                cell = np.clip(cell, -self.clip, self.clip).astype(np.int16)
            scaled = requantize32(self.tanh(cell)[0].astype(np.int64) * made["output"], self.output)
            hidden = finish(scaled, self.hidden_offset, *limits(self.dtype), self.dtype)
            outputs.append(hidden)
        for place, state in ((_HIDDEN, hidden), (_CELL, cell)):
            inputs[place][...] = state.reshape(inputs[place].shape)
        return (np.stack(outputs, axis=0 if self.time_major else 1),)


def _added(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    return np.clip(first.astype(np.int64) + second, _LEAST, _MOST).astype(np.int16)


def _product(first: np.ndarray, second: np.ndarray, by: Multipliers) -> np.ndarray:
    return finish(requantize32(wrap32(first.astype(np.int64) * second), by), 0, _LEAST, _MOST, "int16")


def lstm(node: Node) -> Lstm:
    """Prepares a UNIDIRECTIONAL_SEQUENCE_LSTM."""
    node.require(len(node.inputs) == _COUNT, f"{len(node.inputs)} inputs, not {_COUNT}")
    extra = [place for place in _ABSENT if node.optional(place) is not None]
    node.require(not extra, f"no kernel with inputs {extra}: peepholes, projection, normalisation")
    data, hidden, cell, options = node.input(_INPUT), node.input(_HIDDEN), node.input(_CELL), node.options
    dtype = node.require_types(data, hidden, node.output)
    node.require(cell.dtype == "int16", f"no kernel for a cell of {cell.dtype}")
    node.require(hidden.variable and cell.variable, "its states are not variable tensors")
    node.require(options.fusedActivationFunction == schema.ActivationFunctionType.TANH, "its function is not TANH")
    _require_shapes(node, data, hidden, cell)
    gates = {name: _gate(node, place, name, data, hidden) for place, name in enumerate(_GATES)}
    node.zero_point(cell)
    step, clip, result = float(node.scale(cell)), float(np.float32(options.cellClip)), float(node.scale(hidden))
    power = power_of_two(node.scale(cell))[0] + 12
    node.require(power < 15, f"the step of its cell is too large: {step:g}")
    return Lstm(
        gates=gates,
        forget=node.factors(_OUTPUT_STEP * step / step, MOST_SHIFT_32),
        input=node.factors(_OUTPUT_STEP * _OUTPUT_STEP / step, MOST_SHIFT_32),
        output=node.factors(_OUTPUT_STEP * _OUTPUT_STEP / result, MOST_SHIFT_32),
        tanh=Tanh16(3 << max(power, 0), max(-power, 0), sigmoid_table()),
        clip=int(min(max(clip / step, 0.0), float(_MOST))),
        hidden_offset=node.zero_point(hidden),
        dtype=dtype,
        time_major=bool(options.timeMajor),
    )


def _gate(node: Node, place: int, name: str, data: Tensor, hidden: Tensor) -> Gate:
    """A gate, by its place among the four."""
    weights, recurrent, bias = (node.input(first + place) for first in (_WEIGHTS, _RECURRENT, _BIASES))
    kind = "int32" if data.dtype == "int8" else "int64"
    fits = weights.dtype == recurrent.dtype == "int8" and bias.dtype == kind
    node.require(fits, f"no kernel for {weights.dtype} weights and a {bias.dtype} bias")
    function = (Tanh16 if name == "cell" else Logistic16)(3, 0, sigmoid_table())
    return Gate(_sums(node, data, weights), _sums(node, hidden, recurrent), function)


def _sums(node: Node, data: Tensor, weights: Tensor) -> Accumulator:
    """What becomes of the sums of a gate's layer."""
    node.symmetric(weights)
    node.require(len(node.scales(weights)) == 1, f"no kernel for several steps of {weights.name}")
    bits = 32 if data.dtype == "int8" else 64
    real = np.float64(node.scale(data)) * np.float64(node.scale(weights)) / _GATE_STEP
    made = node.factors(real, MOST_SHIFT_32 if bits == 32 else MOST_SHIFT_64)
    return Accumulator(bits, -node.zero_point(data), made, 0, _LEAST, _MOST, "int16")


def _require_shapes(node: Node, data: Tensor, hidden: Tensor, cell: Tensor) -> None:
    node.require(len(data.shape) == 3 and len(hidden.shape) == 2, "data and states must have three and two axes")
    batch, units = data.shape[1 if node.options.timeMajor else 0], hidden.shape[1]
    for place in range(len(_GATES)):
        node.require_shape(node.input(_WEIGHTS + place), (units, data.shape[2]))
        node.require_shape(node.input(_RECURRENT + place), (units, units))
        node.require_shape(node.input(_BIASES + place), (units,))
    node.require_shape(hidden, (batch, units))
    node.require(int(np.prod(cell.shape)) == batch * units, f"{cell.name} of shape {list(cell.shape)}")
    node.require_shape(node.output, (*data.shape[:2], units))
