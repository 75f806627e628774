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
from keras_mtl.tflite.patch.root import coarsen_reciprocal_roots

#: Versions whose int16 kernels take a 64-bit bias.
_VERSIONS = {"CONV_2D": 3, "FULLY_CONNECTED": 4}
_BIASED = {"CONV_2D", "FULLY_CONNECTED", "DEPTHWISE_CONV_2D"}
_LOGISTIC_SCALE = 1 / 32768


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
            _set_version(model, operator, _VERSIONS[name])
        if name == "LOGISTIC":
            for tensor in flatbuffer.op_outputs(subgraph, operator):
                tensor.quantization.scale = np.array([_LOGISTIC_SCALE], np.float32)
                tensor.quantization.zeroPoint = np.array([0], np.int64)
    coarsen_reciprocal_roots(model)
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


def _set_version(model: Any, operator: Any, version: int) -> None:
    """Gives an operator a code of that version, and leaves others that share its old code alone."""
    old = model.operatorCodes[operator.opcodeIndex]
    for index, code in enumerate(model.operatorCodes):
        same = (code.builtinCode, code.deprecatedBuiltinCode) == (old.builtinCode, old.deprecatedBuiltinCode)
        if same and code.version == version:
            operator.opcodeIndex = index
            return
    new = copy(old)
    new.version = version
    model.operatorCodes.append(new)
    operator.opcodeIndex = len(model.operatorCodes) - 1


def _drop_unused_codes(model: Any) -> None:
    """Removes operator codes that no operator has: interpreters look for a kernel of each, and may refuse the file."""
    operators = [operator for _, operator in flatbuffer.operators(model)]
    used = sorted({operator.opcodeIndex for operator in operators})
    model.operatorCodes = [model.operatorCodes[index] for index in used]
    for operator in operators:
        operator.opcodeIndex = used.index(operator.opcodeIndex)
