"""What each reference kernel of TensorFlow Lite Micro asks the arena for, beside its tensors.

Each rule is that of the kernel's `Init` and `Prepare` in `tensorflow/lite/micro/kernels`. What a vendor's kernels ask
for otherwise is in `vendor_kernels`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from keras_mtl.firmware_host.arena.sizes import Sizes
from keras_mtl.tflite import flatbuffer

#: Two tables of 513 values of 16 bits, for exp and 1 / (1 + x).
_SOFTMAX_TABLE_BYTES = 513 * 2
_INT_BYTES = 4
#: The dimension of the weights along which a convolution's outputs lie.
_CHANNEL_AXIS = {"CONV_2D": 0, "DEPTHWISE_CONV_2D": 3, "TRANSPOSE_CONV": 0}
_INTEGERS = ("int8", "int16")
#: Kernels that make their own data in `Prepare`, where they need them: their rules below count them.
MADE_IN_PREPARE = frozenset({"ADD_N", "CUMSUM", "EMBEDDING_LOOKUP", "LOG_SOFTMAX"})


@dataclass
class Requests:
    """What one operator asks for.

    Attributes:
        persistent: sizes in bytes of what it keeps.
        scratch: sizes in bytes of what it needs while it runs.
    """

    persistent: list[int] = field(default_factory=list)
    scratch: list[int] = field(default_factory=list)


@dataclass(frozen=True)
class Operator:
    """One operator with its tensors.

    Attributes:
        name: as "CONV_2D".
        inputs, outputs: its tensors; an input that is left out is None.
        options: from the file.
        sizes: of structures on the machine.
    """

    name: str
    inputs: list[Any]
    outputs: list[Any]
    options: Any
    sizes: Sizes

    @property
    def result(self) -> tuple[int, ...]:
        """Shape of its first output."""
        return flatbuffer.tensor_shape(self.outputs[0])

    def shape(self, number: int) -> tuple[int, ...]:
        """Shape of an input."""
        return flatbuffer.tensor_shape(self.inputs[number])

    def dtype(self, number: int) -> str:
        """Type of an input, as "int8"."""
        return flatbuffer.tensor_dtype(self.inputs[number])

    def count(self, number: int) -> int:
        """Elements of an input."""
        return math.prod(self.shape(number))


def operator_of(model: Any, subgraph: Any, operator: Any, sizes: Sizes) -> Operator:
    """An operator of a file with its tensors."""
    name = flatbuffer.op_name(model, operator)
    inputs, outputs = flatbuffer.op_inputs(subgraph, operator), flatbuffer.op_outputs(subgraph, operator)
    return Operator(name, inputs, outputs, operator.builtinOptions, sizes)


def requests(operator: Operator) -> Requests:
    """What an operator's kernel asks for in `Prepare`.

    Returns:
        The requests; empty for an operator that asks for nothing or is not known.

    Raises:
        IndexError, TypeError, AttributeError: an operator with missing tensors.
    """
    found = Requests()
    if operator.name in _RULES:
        _RULES[operator.name](operator, found)
    return found


def _convolution(op: Operator, found: Requests) -> None:
    channels = op.shape(1)[_CHANNEL_AXIS[op.name]]
    found.persistent += [channels * _INT_BYTES] * 2
    _unpacked_weights(op, found)


def _transposed_convolution(op: Operator, found: Requests) -> None:
    # Its inputs are the output's shape, the weights and the input.
    channels = op.shape(1)[_CHANNEL_AXIS[op.name]]
    found.persistent += [channels * _INT_BYTES] * 2
    values = math.prod(op.result)
    wide = op.dtype(2) == "int16"
    if wide and len(op.inputs) > 3 and op.inputs[3] is not None and op.dtype(3) == "int16":
        found.scratch.append(op.count(3) * 8)
    if op.dtype(2) in _INTEGERS:
        found.scratch.append(values * (8 if wide else 4))


def _dense(op: Operator, found: Requests) -> None:
    steps = flatbuffer.quantization(op.inputs[1])
    if op.dtype(0) in _INTEGERS and steps is not None and len(steps.scale) > 1:
        found.persistent += [len(steps.scale) * _INT_BYTES] * 2
    _unpacked_weights(op, found)


def _unpacked_weights(op: Operator, found: Requests) -> None:
    if op.dtype(1) == "int4":
        found.scratch.append(op.count(1))


def _matrix_product(op: Operator, found: Requests) -> None:
    if op.dtype(0) in _INTEGERS:
        found.persistent.append(op.sizes.matmul_quantization)
    for number, kept in ((0, op.options.adjX), (1, not op.options.adjY)):
        if kept:
            element = _BYTES.get(op.dtype(number), 8)
            found.persistent += [op.sizes.eval_tensor, _dims(op.inputs[number]), op.count(number) * element]
    _copied_dims(op, found)


def _copied_dims(op: Operator, found: Requests) -> None:
    found.persistent.append(_dims(op.outputs[0]))


def _softmax(op: Operator, found: Requests) -> None:
    if op.dtype(0) == "int16":
        found.persistent += [_SOFTMAX_TABLE_BYTES] * 2


def _mean(op: Operator, found: Requests) -> None:
    if op.dtype(0) in _INTEGERS:
        found.scratch.append(math.prod(op.result) * _INT_BYTES)
    _extremes(op, found)


def _extremes(op: Operator, found: Requests) -> None:
    found.scratch += [len(op.shape(0)) * _INT_BYTES, op.count(1) * _INT_BYTES]


def _sum_of_many(op: Operator, found: Requests) -> None:
    if op.dtype(0) == "int8":
        found.persistent.append(op.sizes.kernel("ADD_N").data)
    if op.dtype(0) in ("int8", "float32"):
        found.scratch.append(op.sizes.pointer * len(op.inputs))


def _mirror_pad(op: Operator, found: Requests) -> None:
    found.scratch += [len(op.shape(0)) * _INT_BYTES] * 2


def _in_prepare(op: Operator, found: Requests) -> None:
    """These kernels have no `Init`: their data are made in `Prepare`, for 8 bits only."""
    if op.dtype(0) == "int8":
        found.persistent.append(op.sizes.kernel(op.name).data)


def _lookup(op: Operator, found: Requests) -> None:
    found.persistent.append(op.sizes.kernel(op.name).data)
    _copied_dims(op, found)


def _filtered_memory(op: Operator, found: Requests) -> None:
    # SVDF: inputs are the input, the weights of the features and of time, the bias and the state.
    batch, filters, rank = op.shape(0)[0], op.shape(1)[0], op.options.rank
    found.scratch.append(batch * filters * 4)
    if op.dtype(1) == "int8":
        found.scratch.append(batch * (filters // rank) * 4)


def _recurrent(op: Operator, found: Requests) -> None:
    # UNIDIRECTIONAL_SEQUENCE_LSTM: input 18 is the hidden state, input 19 the cell's.
    found.scratch += [op.count(18) * _BYTES.get(op.dtype(19), 4)] * 4


def _dims(tensor: Any) -> int:
    """Bytes of a list of dimensions."""
    return _INT_BYTES * (1 + len(flatbuffer.tensor_shape(tensor)))


_BYTES = {"int8": 1, "int4": 1, "uint8": 1, "bool": 1, "int16": 2, "float16": 2, "int32": 4, "float32": 4, "int64": 8}
_RULES: dict[str, Callable[[Operator, Requests], None]] = {
    "CONV_2D": _convolution,
    "DEPTHWISE_CONV_2D": _convolution,
    "TRANSPOSE_CONV": _transposed_convolution,
    "FULLY_CONNECTED": _dense,
    "BATCH_MATMUL": _matrix_product,
    "SOFTMAX": _softmax,
    "MEAN": _mean,
    "SUM": _mean,
    "REDUCE_MAX": _extremes,
    "REDUCE_MIN": _extremes,
    "REDUCE_ALL": _extremes,
    "ADD_N": _sum_of_many,
    "MIRROR_PAD": _mirror_pad,
    "LOG_SOFTMAX": _in_prepare,
    "CUMSUM": _in_prepare,
    "EMBEDDING_LOOKUP": _lookup,
    "GATHER": _copied_dims,
    "GATHER_ND": _copied_dims,
    "L2_POOL_2D": _copied_dims,
    "SPACE_TO_DEPTH": _copied_dims,
    "DEPTH_TO_SPACE": _copied_dims,
    "SVDF": _filtered_memory,
    "UNIDIRECTIONAL_SEQUENCE_LSTM": _recurrent,
}
