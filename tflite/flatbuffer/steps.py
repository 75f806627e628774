"""The step of a float tensor that was an integer one: what a difference of one integer is in its real values.

Such a tensor comes from DEQUANTIZE, at once or by operators that only move data, or that make no difference of two
inputs larger (SOFTMAX, LOGISTIC and the like). Its step is DEQUANTIZE's scale.
"""

from __future__ import annotations

from typing import Any

from keras_mtl.tflite.flatbuffer import model as flatbuffer
from keras_mtl.tflite.flatbuffer.operands import data_input

_NAMES = """
    BATCH_TO_SPACE_ND BROADCAST_TO CONCATENATION DEPTH_TO_SPACE EXPAND_DIMS GATHER GATHER_ND MAXIMUM MAX_POOL_2D MINIMUM
    PACK PAD REDUCE_MAX REDUCE_MIN RELU RELU6 RESHAPE REVERSE_V2 SLICE SPACE_TO_BATCH_ND SPACE_TO_DEPTH SPLIT SPLIT_V
    SQUEEZE STRIDED_SLICE TILE TRANSPOSE UNPACK LOGISTIC SOFTMAX TANH
"""
#: Operators that make no difference of two inputs larger.
_NO_LARGER = frozenset(_NAMES.split())


def output_steps(model: Any) -> list[float | None]:
    """The step of each output of a file's main graph: see `tensor_step`."""
    graph = model.subgraphs[0]
    return [tensor_step(model, graph, number) for number in flatbuffer.indices(graph.outputs)]


def tensor_step(model: Any, graph: Any, number: int) -> float | None:
    """The step of a tensor that was an integer one; the largest, where it comes from several; else None.

    None, too, of a tensor that is integer: its step is 1.

    Args:
        model: the object tree of a `.tflite` file.
        graph: one of its subgraphs.
        number: of the tensor there.
    """
    made_by = {int(made): operator for operator in graph.operators or [] for made in operator.outputs}
    waiting, seen, found = [number], set[int](), list[float]()
    while waiting:
        tensor = waiting.pop()
        operator = made_by.get(tensor)
        if tensor in seen or operator is None:
            continue
        seen.add(tensor)
        name, inputs = flatbuffer.op_name(model, operator), flatbuffer.indices(operator.inputs)
        if name == "DEQUANTIZE":
            quantization = flatbuffer.quantization(graph.tensors[inputs[0]]) if inputs else None
            constant = bool(inputs) and flatbuffer.constant_bytes(model, graph.tensors[inputs[0]]) is not None
            if quantization is None or constant:  # weights, or float16
                return None
            found.append(quantization.scale[0])
        elif name in _NO_LARGER:
            several = name in ("CONCATENATION", "PACK", "MAXIMUM", "MINIMUM")
            waiting += inputs if several else inputs[data_input(name) :][:1]
        elif flatbuffer.tensor_dtype(graph.tensors[tensor]).startswith("float"):
            return None  # computed in floating point
    return max(found, default=None)
