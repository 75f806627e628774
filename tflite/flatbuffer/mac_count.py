"""Counts multiply-accumulates (MACs) from a `.tflite` file itself (no TensorFlow here).

Convention: weights times the positions at which they are applied, as the DCASE low-complexity tasks count; a product of
two computed matrices (BATCH_MATMUL) counts its inner length for every output element. Biases, activations, pooling and
elementwise operators count nothing. A loop (WHILE) counts its body times its steps where the file holds their number
(see `loops`). An operator that is on neither list (a custom operator, a recurrent layer, a branch) may hide MACs: it is
refused by name and never counted as zero.
"""

from __future__ import annotations

import math
from typing import Any

from keras_mtl.core import ArtifactError
from keras_mtl.tflite.flatbuffer import model as flatbuffer
from keras_mtl.tflite.flatbuffer.loops import loop_graphs, trip_count

_COUNTED = frozenset({"CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "BATCH_MATMUL"})
_NAMES_WITHOUT_MACS = """
    ABS ADD ADD_N ARG_MAX ARG_MIN AVERAGE_POOL_2D BATCH_TO_SPACE_ND BROADCAST_ARGS BROADCAST_TO CAST CEIL
    CONCATENATION COS DEPTH_TO_SPACE DEQUANTIZE DIV ELU EQUAL EXP EXPAND_DIMS FILL FLOOR FLOOR_DIV FLOOR_MOD
    GATHER GATHER_ND GELU GREATER GREATER_EQUAL HARD_SWISH L2_NORMALIZATION L2_POOL_2D LEAKY_RELU LESS
    LESS_EQUAL LOG LOGICAL_AND LOGICAL_NOT LOGICAL_OR LOGISTIC LOG_SOFTMAX MAXIMUM MAX_POOL_2D MEAN MINIMUM
    MIRROR_PAD MUL NEG NOT_EQUAL PACK PAD PADV2 POW PRELU QUANTIZE REDUCE_ALL REDUCE_ANY REDUCE_MAX REDUCE_MIN
    REDUCE_PROD RELU RELU6 RELU_N1_TO_1 RESHAPE RESIZE_BILINEAR RESIZE_NEAREST_NEIGHBOR REVERSE_V2 ROUND RSQRT
    SELECT SELECT_V2 SHAPE SIN SLICE SOFTMAX SPACE_TO_BATCH_ND SPACE_TO_DEPTH SPLIT SPLIT_V SQRT SQUARE
    SQUARED_DIFFERENCE SQUEEZE STRIDED_SLICE SUB SUM TANH TILE TRANSPOSE UNPACK ZEROS_LIKE
"""
_WITHOUT_MACS = frozenset(_NAMES_WITHOUT_MACS.split())


def macs(model: Any) -> int:
    """MACs of one inference.

    Args:
        model: the object tree of a `.tflite` file.

    Raises:
        ArtifactError: an operator whose MACs can't be counted from the file.
    """
    total = _graph_macs(model, 0, frozenset(), {})
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


def _graph_macs(model: Any, number: int, within: frozenset[int], known: dict[int, int]) -> int:
    """MACs of a subgraph. Each is counted once: loops that share their bodies would else be counted without an end."""
    if number in within:
        raise ArtifactError(
            "MACs of operator WHILE can't be counted from the file: the loop holds itself", hint="convert it again"
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
        inner, checked = (_graph_macs(model, number, within, known) for number in (body, condition))
        return steps * inner + (steps + 1) * checked
    if name not in _COUNTED:
        raise ArtifactError(
            f"MACs of operator {name} can't be counted from the file",
            hint="convert the network without it",
        )
    try:
        shapes = [flatbuffer.tensor_shape(tensor) for tensor in flatbuffer.op_inputs(subgraph, operator)[:2]]
        output = flatbuffer.tensor_shape(flatbuffer.op_outputs(subgraph, operator)[0])
        if min((*shapes[0], *shapes[1], *output)) < 1:
            raise ArtifactError(f"operator {name} has no fixed shape", hint="convert with a fixed batch of 1")
        if name == "BATCH_MATMUL":
            return math.prod(output) * shapes[0][-2 if operator.builtinOptions.adjX else -1]
        output_channels = shapes[1][-1 if name == "DEPTHWISE_CONV_2D" else 0]
        return math.prod(shapes[1]) * (math.prod(output) // output_channels)
    except (AttributeError, IndexError, TypeError, ValueError):
        raise ArtifactError(f"operator {name} has missing or malformed tensors", hint="convert it again") from None
