"""Mends int16x8 files that the converter makes from fake-quantized graphs (no TensorFlow here).

Such a file is right on TensorFlow Lite Micro and wrong by tens of thousands of steps on LiteRT: biases are INT32 where
16-bit kernels read INT64, CONV_2D and FULLY_CONNECTED carry versions that promise another bias type, and LOGISTIC has
an output scale that its kernel refuses. After the patch LiteRT, tflite-runtime and TensorFlow Lite Micro agree.
"""

from __future__ import annotations

from copy import copy
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from keras_mtl.core import ConversionError
from keras_mtl.tflite import flatbuffer

#: Versions whose int16 kernels take a 64-bit bias.
_VERSIONS = {"CONV_2D": 3, "FULLY_CONNECTED": 4}
_BIASED = {"CONV_2D", "FULLY_CONNECTED", "DEPTHWISE_CONV_2D"}
_LOGISTIC_SCALE = 1 / 32768
#: Levels above 0 of an 8-bit signal that is not negative.
COARSE_LEVELS = 255
_FINE_LEVELS = 2**15 - 1
_ZERO_POINT = -128
_COARSE_VERSIONS = {"QUANTIZE": 2, "RSQRT": 2, "CAST": 1, "ADD": 1}


def patch_int16x8(model: Any) -> None:
    """Mends an int16x8 file in place.

    Args:
        model: the object tree of what the converter made.

    Raises:
        ConversionError: a bias that did not fit in the converter's 32 bits: it was cut, and the file would be wrong.
    """
    for subgraph, operator in flatbuffer.operators(model):
        name = flatbuffer.op_name(model, operator)
        inputs = flatbuffer.op_inputs(subgraph, operator)
        if not inputs or inputs[0] is None or flatbuffer.tensor_dtype(inputs[0]) != "int16":
            continue
        if name in _BIASED and len(inputs) > 2 and inputs[2] is not None:
            _widen(model, inputs[2])
        if name in _VERSIONS:
            operator.opcodeIndex = flatbuffer.operator_code(model, name, _VERSIONS[name])
        if name == "LOGISTIC":
            for tensor in flatbuffer.op_outputs(subgraph, operator):
                tensor.quantization.scale = np.array([_LOGISTIC_SCALE], np.float32)
                tensor.quantization.zeroPoint = np.array([0], np.int64)
    _coarsen_reciprocal_roots(model)
    _drop_unused_codes(model)


def _widen(model: Any, bias: Any) -> None:
    if flatbuffer.tensor_dtype(bias) != "int32":
        return
    values = flatbuffer.constant(model, bias)
    if values is None:
        raise ConversionError(f"bias {flatbuffer.tensor_name(bias)} is not constant")
    limits = np.iinfo(np.int32)
    if (values == limits.max).any() or (values == limits.min).any():
        raise ConversionError(
            f"bias {flatbuffer.tensor_name(bias)} overflows 32 bits",
            hint="a channel's weights are tiny beside its bias; fine-tune longer or prune it",
        )
    flatbuffer.set_constant(model, bias, values.astype(np.int64))
    bias.type = schema.TensorType.INT64


def _drop_unused_codes(model: Any) -> None:
    """Removes operator codes that no operator has: interpreters look for a kernel of each, and may refuse the file."""
    operators = [operator for _, operator in flatbuffer.operators(model)]
    used = sorted({operator.opcodeIndex for operator in operators})
    model.operatorCodes = [model.operatorCodes[index] for index in used]
    for operator in operators:
        operator.opcodeIndex = used.index(operator.opcodeIndex)


def _coarsen_reciprocal_roots(model: Any) -> None:
    """Replaces RSQRT of int16 by QUANTIZE to int8, RSQRT, CAST to int16 and ADD, in place.

    LiteRT, tflite-runtime and TensorFlow Lite Micro agree on 8 bits; for 16 they interpolate, have no kernel, and
    compute. The 8-bit tensors span what the positive half of the 16-bit ones does.
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
    operator.opcodeIndex = flatbuffer.operator_code(model, name, _COARSE_VERSIONS[name])
    operator.inputs, operator.outputs = np.array(sources, np.int32), np.array([result], np.int32)
    return operator
