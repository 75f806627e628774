"""The operators of the contracts: what prepares each, and what contract an operator is of."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

from keras_mtl.firmware_host.reference import (
    activations,
    conversions,
    convolutions,
    dense,
    elementwise,
    moves,
    pools,
    recurrent,
    reductions,
    roots,
    softmax,
)
from keras_mtl.firmware_host.reference.node import Node

#: Types of data by the contract that they are computed by.
CONTRACTS = {"int8": "int8.v1", "int16": "int16x8.v1"}


class Kernel(Protocol):
    """A prepared operator: a frozen dataclass of the numbers that it computes with."""

    def __call__(self, *inputs: Any) -> tuple[Any, ...]:
        """All inputs, constants too, None for one that is left out, to all outputs."""


#: What prepares each operator; it raises EngineRefused for what the contract has not.
OPERATORS: Mapping[str, Callable[[Node], Kernel]] = {
    "ADD": elementwise.addition,
    "AVERAGE_POOL_2D": pools.average_pool,
    "BATCH_MATMUL": dense.matmul,
    "CONCATENATION": moves.concatenation,
    "CONV_2D": convolutions.convolution,
    "DEPTHWISE_CONV_2D": convolutions.depthwise_convolution,
    "DEQUANTIZE": conversions.dequantize,
    "EXPAND_DIMS": moves.reshape,
    "FULLY_CONNECTED": dense.dense,
    "LEAKY_RELU": activations.leaky_relu,
    "LOGISTIC": activations.logistic,
    "MAX_POOL_2D": pools.max_pool,
    "MEAN": reductions.mean,
    "MUL": elementwise.multiplication,
    "PAD": moves.pad,
    "PADV2": moves.pad,
    "PRELU": activations.prelu,
    "QUANTIZE": conversions.quantize,
    "RELU": activations.relu,
    "RELU6": activations.relu6,
    "RESHAPE": moves.reshape,
    "RSQRT": roots.reciprocal_roots,
    "SOFTMAX": softmax.softmax,
    "SLICE": moves.slice_of,
    "SPLIT": moves.split,
    "SPLIT_V": moves.split_v,
    "SQUEEZE": moves.reshape,
    "STRIDED_SLICE": moves.strided_slice,
    "SUB": elementwise.subtraction,
    "SUM": reductions.total,
    "TANH": activations.tanh,
    "TRANSPOSE": moves.transpose,
    "TRANSPOSE_CONV": convolutions.transposed_convolution,
    "UNIDIRECTIONAL_SEQUENCE_LSTM": recurrent.lstm,
}
_MANY_OUTPUTS = ("SPLIT", "SPLIT_V")


def prepare(node: Node) -> Kernel:
    """The kernel of an operator.

    Raises:
        EngineRefused: an operator that is not there, or what its kernel has not, with the layer.
    """
    prepares = OPERATORS.get(node.op)
    if prepares is None:
        raise node.refusal("the reference has no such operator", hint="run it on tflm")
    node.require(len(node.outputs) == 1 or node.op in _MANY_OUTPUTS, f"{len(node.outputs)} outputs")
    try:
        return prepares(node)
    except (AttributeError, IndexError, OverflowError, TypeError, ValueError) as error:  # of a damaged file
        raise node.refusal(f"its options or tensors are not those of such an operator ({error})") from None
