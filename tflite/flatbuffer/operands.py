"""Which inputs of an operator hold what: the data that flow through it, and its weights.

Most operators have their data first. The others, and the weights of all, are in the order of the schema's operators in
TensorFlow Lite's `kernels/`.
"""

from __future__ import annotations

from typing import Any

from keras_mtl.tflite.flatbuffer import model as flatbuffer

_DATA = {
    "ASSIGN_VARIABLE": 1, "CONV_3D_TRANSPOSE": 2, "EMBEDDING_LOOKUP": 1, "FILL": 1, "SELECT": 1, "SELECT_V2": 1,
    "SPLIT": 1, "TRANSPOSE_CONV": 2,
}  # fmt: skip
_CELL = (*range(1, 9), 16)
#: Inputs that are weights, by operator; an optional one may be left out.
_WEIGHTS: dict[str, tuple[int, ...]] = {
    **dict.fromkeys(("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "BATCH_MATMUL", "TRANSPOSE_CONV"), (1,)),
    **dict.fromkeys(("CONV_3D", "CONV_3D_TRANSPOSE"), (1,)),
    **dict.fromkeys(("SVDF", "RNN", "UNIDIRECTIONAL_SEQUENCE_RNN"), (1, 2)),
    **dict.fromkeys(("LSTM", "UNIDIRECTIONAL_SEQUENCE_LSTM"), _CELL),
    "BIDIRECTIONAL_SEQUENCE_RNN": (1, 2, 5, 6, 10, 11),
    "BIDIRECTIONAL_SEQUENCE_LSTM": (*_CELL, *range(18, 26), 33, *range(40, 48)),
}
#: The older, basic LSTM has all its weights in one matrix: input, output before, weights, bias, state before.
_BASIC_LSTM_INPUTS = 5
#: Operators that keep a state of their own between inferences. A custom one may, too.
_KEEPS_STATE = frozenset(
    {"ASSIGN_VARIABLE", "READ_VARIABLE", "VAR_HANDLE"} | {name for name in _WEIGHTS if name.endswith(("RNN", "LSTM"))}
) | {"SVDF"}


def data_input(op: str) -> int:
    """Number of the input of an operator that holds its data."""
    return _DATA.get(op, 0)


def weight_inputs(op: str, inputs: int) -> tuple[int, ...]:
    """Numbers of the inputs of an operator that hold weights; none of other operators.

    The first one is always given, others that may be left out where the operator has so many `inputs`. The second
    factor of BATCH_MATMUL counts as weights whether it is a constant or not.
    """
    if op == "LSTM" and inputs == _BASIC_LSTM_INPUTS:
        return (2,)
    places = _WEIGHTS.get(op, ())
    return (*places[:1], *(place for place in places[1:] if place < inputs))


def keeps_state(model: Any) -> bool:
    """Whether an inference of a file, given as its object tree, may depend on those before it."""
    if any(tensor.isVariable for graph in model.subgraphs for tensor in graph.tensors or []):
        return True
    names = {flatbuffer.op_name(model, operator) for _, operator in flatbuffer.operators(model)}
    return any(name in _KEEPS_STATE or name.startswith("CUSTOM") for name in names)
