"""Puts an 8-bit RSQRT in place of each 16-bit one of a file (no TensorFlow here).

LiteRT, tflite-runtime and TensorFlow Lite Micro agree on 8 bits. For 16 they interpolate, have no kernel, and compute.
"""

from __future__ import annotations

from copy import copy
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from keras_mtl.tflite import flatbuffer

#: Levels above 0 of an 8-bit signal that is not negative.
COARSE_LEVELS = 255
_FINE_LEVELS = 2**15 - 1
_ZERO_POINT = -128
_VERSIONS = {"QUANTIZE": 2, "RSQRT": 2, "CAST": 1, "ADD": 1}


def coarsen_reciprocal_roots(model: Any) -> None:
    """Replaces RSQRT of int16 by QUANTIZE to int8, RSQRT, CAST to int16 and ADD, in place.

    The 8-bit tensors span what the positive half of the 16-bit ones does.
    """
    for subgraph in model.subgraphs:
        operators = []
        for operator in subgraph.operators or []:
            fine = flatbuffer.op_inputs(subgraph, operator)[:1]
            root = flatbuffer.op_name(model, operator) == "RSQRT"
            if root and fine[0] is not None and flatbuffer.tensor_dtype(fine[0]) == "int16":
                operators += _with_coarse_root(model, subgraph, int(operator.inputs[0]), int(operator.outputs[0]))
            else:
                operators.append(operator)
        subgraph.operators = operators


def _with_coarse_root(model: Any, subgraph: Any, source: int, result: int) -> list[Any]:
    before, after = (_coarse(subgraph, fine) for fine in (source, result))
    # int8 to int16 by CAST and ADD, because tflite-runtime has no such QUANTIZE: what stands for 0 must be 0 in int16.
    cast = _another(subgraph, after, "cast", "INT16", 0)
    offset = _another(subgraph, after, "offset", "INT16", 0)
    shape = flatbuffer.tensor_shape(subgraph.tensors[offset])
    flatbuffer.set_constant(model, subgraph.tensors[offset], np.full(shape, -_ZERO_POINT, np.int16))
    add = _operator(model, "ADD", [cast, offset], result)
    add.builtinOptionsType, add.builtinOptions = schema.BuiltinOptions.AddOptions, schema.AddOptionsT()
    add.builtinOptions.potScaleInt16 = False
    return [
        _operator(model, "QUANTIZE", [source], before),
        _operator(model, "RSQRT", [before], after),
        _operator(model, "CAST", [after], cast),
        add,
    ]


def _coarse(subgraph: Any, index: int) -> int:
    """Adds the 8-bit form of a tensor. Gives its index."""
    made = _another(subgraph, index, "int8", "INT8", _ZERO_POINT)
    quantization = subgraph.tensors[made].quantization
    scale = np.asarray(quantization.scale, np.float64) * _FINE_LEVELS / COARSE_LEVELS
    quantization.scale = scale.astype(np.float32)
    return made


def _another(subgraph: Any, index: int, suffix: str, kind: str, zero_point: int) -> int:
    """Adds a tensor like another, of another type. Gives its index."""
    like = subgraph.tensors[index]
    tensor = copy(like)
    tensor.name, tensor.type = f"{flatbuffer.tensor_name(like)}_{suffix}", getattr(schema.TensorType, kind)
    tensor.buffer = 0  # the empty one
    tensor.quantization = copy(like.quantization)
    tensor.quantization.zeroPoint = np.array([zero_point], np.int64)
    tensor.quantization.min = tensor.quantization.max = None
    subgraph.tensors.append(tensor)
    return len(subgraph.tensors) - 1


def _operator(model: Any, name: str, sources: list[int], result: int) -> Any:
    operator = schema.OperatorT()
    operator.opcodeIndex = _code(model, getattr(schema.BuiltinOperator, name), _VERSIONS[name])
    operator.inputs, operator.outputs = np.array(sources, np.int32), np.array([result], np.int32)
    return operator


def _code(model: Any, number: int, version: int) -> int:
    for index, code in enumerate(model.operatorCodes):
        if max(code.builtinCode, code.deprecatedBuiltinCode) == number and code.version == version:
            return index
    code = schema.OperatorCodeT()
    code.builtinCode = code.deprecatedBuiltinCode = number
    code.version = version
    model.operatorCodes.append(code)
    return len(model.operatorCodes) - 1
