"""Takes the zeros that loops start from out of a `.tflite` file: an operator makes them at run time.

The converter folds the empty list that a loop collects its steps in into a constant of zeros: 128,000 bytes for 250
steps of 128 units in float32. That is as much as DCASE allows for all parameters, and none of it is one. FILL makes the
same tensor from its shape (a few int32) and one zero.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from keras_mtl.tflite import flatbuffer


def fill_loop_starts(model: Any) -> None:
    """Puts FILL for each constant of zeros that a loop of the main graph starts from, in place.

    Args:
        model: the object tree of a float `.tflite` file. Constants may be float16 behind a DEQUANTIZE.
    """
    main = model.subgraphs[0]
    loops = [o for o in main.operators if flatbuffer.op_name(model, o) == "WHILE"]
    starts = dict.fromkeys(int(i) for loop in loops for i in loop.inputs)
    fills = [fill for start in starts if (fill := _fill(model, main, start)) is not None]
    if fills:
        main.operators = [*fills, *main.operators]
        _empty_unread_buffers(model)


def _fill(model: Any, main: Any, start: int) -> Any:
    """The operator that makes a start's zeros; a DEQUANTIZE that made them is taken away. None where they stay."""
    tensor = main.tensors[start]
    makers = [o for o in main.operators if start in _listed(o.outputs)]
    readers = {flatbuffer.op_name(model, o) for o in main.operators if start in _listed(o.inputs)}
    if readers != {"WHILE"} or any(flatbuffer.op_name(model, maker) != "DEQUANTIZE" for maker in makers):
        return None
    source = main.tensors[int(makers[0].inputs[0])] if makers else tensor
    zeros, shape = flatbuffer.constant_bytes(model, source), flatbuffer.tensor_shape(tensor)
    inputs = np.array(shape, np.int32), np.zeros((), np.float32)
    if flatbuffer.tensor_dtype(tensor) != "float32" or not zeros or any(zeros):
        return None
    if len(zeros) <= sum(values.nbytes for values in inputs):
        return None
    main.operators = [o for o in main.operators if o not in makers]
    tensor.buffer = 0  # the empty one: computed at run time
    fill = schema.OperatorT()
    fill.opcodeIndex = _fill_code(model)
    fill.inputs = [_add_constant(model, main, values) for values in inputs]
    fill.outputs = [start]
    fill.builtinOptionsType, fill.builtinOptions = schema.BuiltinOptions.FillOptions, schema.FillOptionsT()
    return fill


def _add_constant(model: Any, main: Any, values: np.ndarray) -> int:
    tensor = schema.TensorT()
    tensor.name = f"loop_start_{'shape' if values.dtype.kind == 'i' else 'value'}_{len(main.tensors)}"
    tensor.shape, tensor.type = list(values.shape), getattr(schema.TensorType, values.dtype.name.upper())
    buffer = schema.BufferT()
    buffer.data = np.frombuffer(values.tobytes(), np.uint8)
    model.buffers.append(buffer)
    tensor.buffer = len(model.buffers) - 1
    main.tensors.append(tensor)
    return len(main.tensors) - 1


def _fill_code(model: Any) -> int:
    number = schema.BuiltinOperator.FILL
    for index, code in enumerate(model.operatorCodes):
        if max(code.builtinCode, code.deprecatedBuiltinCode) == number:
            return index
    code = schema.OperatorCodeT()
    code.builtinCode = code.deprecatedBuiltinCode = number
    code.version = 1
    model.operatorCodes.append(code)
    return len(model.operatorCodes) - 1


def _empty_unread_buffers(model: Any) -> None:
    """Drops the bytes of constants that no operator reads and no graph gives out; their tensors have no data then."""
    for graph in model.subgraphs:
        used = {i for o in graph.operators or [] for i in (*_listed(o.inputs), *_listed(o.outputs))}
        used |= {*_listed(graph.inputs), *_listed(graph.outputs)}
        for index, tensor in enumerate(graph.tensors):
            if index not in used:
                tensor.buffer = 0
    kept = {tensor.buffer for graph in model.subgraphs for tensor in graph.tensors}
    kept |= {entry.buffer for entry in model.metadata or []}
    for index, buffer in enumerate(model.buffers):
        if index not in kept:
            buffer.data = None


def _listed(values: Any) -> list[int]:
    return [] if values is None else [int(v) for v in values]
