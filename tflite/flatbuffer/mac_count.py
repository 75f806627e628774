"""Counts multiply-accumulates (MACs) from a `.tflite` file itself (no TensorFlow here).

Convention: weights times the positions at which they are applied, as the DCASE low-complexity tasks count; a product of
two computed matrices (BATCH_MATMUL) counts its inner length for every output element. A transposed convolution applies
its weights at every position of its input; recurrent layers and SVDF apply theirs once a step. Biases, peepholes,
activations, pooling, elementwise operators and what moves states count nothing. A loop (WHILE) counts its body times
its steps where the file holds their number (see `loops`), a branch (IF) its dearer side, and CALL_ONCE nothing: it runs
once at the start. An operator that is on neither list (a custom operator) may hide MACs: it is refused by name and
never counted as zero.
"""

from __future__ import annotations

import math
from typing import Any

from keras_mtl.core import ArtifactError
from keras_mtl.tflite.flatbuffer import model as flatbuffer
from keras_mtl.tflite.flatbuffer.loops import branch_graphs, loop_graphs, trip_count
from keras_mtl.tflite.flatbuffer.operands import data_input, weight_inputs

_NAMES_WITHOUT_MACS = """
    ABS ADD ADD_N ARG_MAX ARG_MIN ASSIGN_VARIABLE AVERAGE_POOL_2D BATCH_TO_SPACE_ND BROADCAST_ARGS BROADCAST_TO
    CALL_ONCE CAST CEIL CONCATENATION COS CUMSUM DEPTH_TO_SPACE DEQUANTIZE DIV DYNAMIC_UPDATE_SLICE ELU
    EMBEDDING_LOOKUP EQUAL EXP EXPAND_DIMS FILL FLOOR FLOOR_DIV FLOOR_MOD GATHER GATHER_ND GELU GREATER GREATER_EQUAL
    HARD_SWISH L2_NORMALIZATION L2_POOL_2D LEAKY_RELU LESS LESS_EQUAL LOG LOGICAL_AND LOGICAL_NOT LOGICAL_OR LOGISTIC
    LOG_SOFTMAX MAXIMUM MAX_POOL_2D MEAN MINIMUM MIRROR_PAD MUL NEG NOT_EQUAL ONE_HOT PACK PAD PADV2 POW PRELU
    QUANTIZE RANGE RANK READ_VARIABLE REDUCE_ALL REDUCE_ANY REDUCE_MAX REDUCE_MIN REDUCE_PROD RELU RELU6 RELU_0_TO_1
    RELU_N1_TO_1 RESHAPE RESIZE_BILINEAR RESIZE_NEAREST_NEIGHBOR REVERSE_SEQUENCE REVERSE_V2 ROUND RSQRT SCATTER_ND
    SELECT SELECT_V2 SHAPE SIGN SIN SLICE SOFTMAX SPACE_TO_BATCH_ND SPACE_TO_DEPTH SPARSE_TO_DENSE SPLIT SPLIT_V SQRT
    SQUARE SQUARED_DIFFERENCE SQUEEZE STRIDED_SLICE SUB SUM TANH TILE TOPK_V2 TRANSPOSE UNPACK VAR_HANDLE WHERE
    ZEROS_LIKE CUSTOM:CIRCULAR_BUFFER CUSTOM:TFLite_Detection_PostProcess
"""
#: The axis of the weights that the output's channels are; others apply their weights at every position of their data.
_CHANNELS = {"CONV_2D": 0, "DEPTHWISE_CONV_2D": -1, "FULLY_CONNECTED": 0, "CONV_3D": -1}
_WITHOUT_MACS = frozenset(_NAMES_WITHOUT_MACS.split())


def macs(model: Any) -> int:
    """MACs of one inference.

    Args:
        model: the object tree of a `.tflite` file.

    Raises:
        ArtifactError: an operator whose MACs can't be counted from the file.
    """
    total = _graph_macs(model, 0, "", frozenset(), {})
    if total >= 1 << 63:
        raise ArtifactError("the file's MACs do not fit 64 bits", hint="copy or convert it again")
    return total


def operator_macs(model: Any, subgraph: Any, operator: Any) -> int:
    """MACs of one operator; those of a loop with all its steps.

    Args:
        model: the object tree of a `.tflite` file.
        subgraph: the subgraph that holds the operator.
        operator: the operator.

    Raises:
        ArtifactError: an operator whose MACs can't be counted from the file, by name; or a corrupt one.
    """
    return _operator_macs(model, subgraph, operator, frozenset(), {})


def _graph_macs(model: Any, number: int, by: str, within: frozenset[int], known: dict[int, int]) -> int:
    """MACs of a subgraph that the operator `by` runs.

    Each is counted once: loops that share their bodies would else be counted without an end.
    """
    if number in within:
        raise ArtifactError(
            f"MACs of operator {by} can't be counted from the file: it holds itself", hint="convert it again"
        )
    if number not in known:
        graph, within = model.subgraphs[number], within | {number}
        known[number] = sum(_operator_macs(model, graph, o, within, known) for o in graph.operators or [])
    return known[number]


def _operator_macs(model: Any, subgraph: Any, operator: Any, within: frozenset[int], known: dict[int, int]) -> int:
    name = flatbuffer.op_name(model, operator)
    if name in _WITHOUT_MACS:
        return 0
    if name == "WHILE":
        condition, body = loop_graphs(model, operator)
        steps = trip_count(model, subgraph, operator)
        # The condition runs once more than the body.
        inner, checked = (_graph_macs(model, number, name, within, known) for number in (body, condition))
        return steps * inner + (steps + 1) * checked
    if name == "IF":
        return max(_graph_macs(model, number, name, within, known) for number in branch_graphs(model, operator))
    places = weight_inputs(name, len(flatbuffer.indices(operator.inputs)))
    if not places:
        raise ArtifactError(
            f"MACs of operator {name} can't be counted from the file",
            hint="convert the network without it",
        )
    try:
        inputs = flatbuffer.op_inputs(subgraph, operator)
        data = flatbuffer.tensor_shape(inputs[data_input(name)])
        weights = [flatbuffer.tensor_shape(inputs[place]) for place in places if inputs[place] is not None]
        output = flatbuffer.tensor_shape(flatbuffer.op_outputs(subgraph, operator)[0])
        if min((*data, *output, *(size for shape in weights for size in shape))) < 1:
            raise ArtifactError(f"operator {name} has no fixed shape", hint="convert with a fixed batch of 1")
        if name == "BATCH_MATMUL":
            return math.prod(output) * data[-2 if operator.builtinOptions.adjX else -1]
        channels = _CHANNELS.get(name)
        positions = math.prod(data[:-1]) if channels is None else math.prod(output) // weights[0][channels]
        return positions * sum(map(math.prod, weights))
    except (AttributeError, IndexError, TypeError, ValueError):
        raise ArtifactError(f"operator {name} has missing or malformed tensors", hint="convert it again") from None
