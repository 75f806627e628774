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
    makers = [o for o in main.operators if start in flatbuffer.indices(o.outputs)]
    readers = {flatbuffer.op_name(model, o) for o in main.operators if start in flatbuffer.indices(o.inputs)}
    if readers != {"WHILE"} or any(flatbuffer.op_name(model, maker) != "DEQUANTIZE" for maker in makers):
        return None
    source = main.tensors[int(makers[0].inputs[0])] if makers else tensor
    zeros, shape = flatbuffer.constant_bytes(model, source), flatbuffer.tensor_shape(tensor)
    inputs = {"shape": np.array(shape, np.int32), "value": np.zeros((), np.float32)}
    if flatbuffer.tensor_dtype(tensor) != "float32" or not zeros or any(zeros):
        return None
    if len(zeros) <= sum(values.nbytes for values in inputs.values()):
        return None
    main.operators = [o for o in main.operators if o not in makers]
    tensor.buffer = 0  # the empty one: computed at run time
    fill = schema.OperatorT()
    fill.opcodeIndex = flatbuffer.operator_code(model, "FILL", 1)
    fill.inputs = [
        flatbuffer.add_constant(model, main, f"loop_start_{name}_{len(main.tensors)}", values)
        for name, values in inputs.items()
    ]
    fill.outputs = [start]
    fill.builtinOptionsType, fill.builtinOptions = schema.BuiltinOptions.FillOptions, schema.FillOptionsT()
    return fill


def _empty_unread_buffers(model: Any) -> None:
    """Drops the bytes of constants that no operator reads and no graph gives out; their tensors have no data then."""
    for graph in model.subgraphs:
        ends = [end for holder in (graph, *(graph.operators or [])) for end in (holder.inputs, holder.outputs)]
        used = {index for end in ends for index in flatbuffer.indices(end)}
        for index, tensor in enumerate(graph.tensors):
            if index not in used:
                tensor.buffer = 0
    kept = {tensor.buffer for graph in model.subgraphs for tensor in graph.tensors}
    kept |= {entry.buffer for entry in model.metadata or []}
    for index, buffer in enumerate(model.buffers):
        if index not in kept:
            buffer.data = None
