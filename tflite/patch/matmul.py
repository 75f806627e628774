"""Turns the second matrix of a BATCH_MATMUL by an operator of its own (no TensorFlow here).

TensorFlow Lite Micro's kernel wants both matrices with the summed axis last. It turns the second one itself, into
memory that it keeps for good: for the scene decoder as much as a whole second of embeddings. What TRANSPOSE gives lies
in the planned part of the arena, which other members of a set can use in their turn. The sums are the same integers.
"""

from __future__ import annotations

from copy import copy
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from keras_mtl.tflite import flatbuffer

#: Of TRANSPOSE, the version whose kernels take the type.
_VERSIONS = {"int8": 2, "int16": 5}


def transpose_before_matmul(model: Any) -> int:
    """Puts TRANSPOSE before each BATCH_MATMUL of two integer signals whose second one is not turned yet, in place.

    Args:
        model: the object tree of a file.

    Returns:
        How many were put in.
    """
    made = 0
    for subgraph in model.subgraphs:
        operators = []
        for operator in subgraph.operators or []:
            if flatbuffer.op_name(model, operator) == "BATCH_MATMUL" and not operator.builtinOptions.adjY:
                matrix = flatbuffer.op_inputs(subgraph, operator)[1]
                version = _VERSIONS.get(flatbuffer.tensor_dtype(matrix))
                if version and flatbuffer.constant(model, matrix) is None:
                    operators.append(_turned(model, subgraph, operator, version))
                    made += 1
            operators.append(operator)
        subgraph.operators = operators
    return made


def _turned(model: Any, subgraph: Any, operator: Any, version: int) -> Any:
    """The operator that turns the second matrix; the product then reads what it gives."""
    source = int(operator.inputs[1])
    turned = copy(subgraph.tensors[source])
    axes = np.arange(len(turned.shape), dtype=np.int32)
    axes[-2:] = axes[[-1, -2]]
    turned.name, turned.shape = f"{flatbuffer.tensor_name(turned)}_turned", np.asarray(turned.shape, np.int32)[axes]
    turned.shapeSignature, turned.buffer = None, 0
    subgraph.tensors.append(turned)
    transpose = schema.OperatorT()
    transpose.opcodeIndex = flatbuffer.operator_code(model, "TRANSPOSE", version)
    transpose.outputs = np.array([len(subgraph.tensors) - 1], np.int32)
    order = flatbuffer.add_constant(model, subgraph, f"{turned.name}_axes", axes)
    transpose.inputs = np.array([source, order], np.int32)
    transpose.builtinOptionsType = schema.BuiltinOptions.TransposeOptions
    transpose.builtinOptions = schema.TransposeOptionsT()
    operator.inputs = np.array([operator.inputs[0], transpose.outputs[0]], np.int32)
    operator.builtinOptions.adjY = True
    return transpose
