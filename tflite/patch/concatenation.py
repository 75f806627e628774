"""Puts CONCATENATION of 16 bits into files, which the converter refuses and all engines have (no TensorFlow here)."""

from __future__ import annotations

from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from keras_mtl.tflite import flatbuffer

_INT16_VERSION = 3


def concatenate_sums(model: Any) -> int:
    """Makes one CONCATENATION of two PAD and an ADD, where one has zeros where the other has values. In place.

    Args:
        model: the object tree of a file.

    Returns:
        How many were made.
    """
    made = 0
    for subgraph in model.subgraphs:
        before = made
        padded = {
            int(operator.outputs[0]): operator
            for operator in subgraph.operators or []
            if flatbuffer.op_name(model, operator) == "PAD"
        }
        for operator in list(subgraph.operators or []):
            pads = [padded.get(int(index)) for index in operator.inputs]
            if flatbuffer.op_name(model, operator) != "ADD" or None in pads:
                continue
            axis, ordered = _in_turn(model, subgraph, pads)
            if ordered:
                _concatenate(model, operator, [int(pad.inputs[0]) for pad in ordered], axis)
                subgraph.operators = [each for each in subgraph.operators if not any(each is pad for pad in pads)]
                made += 1
        if made > before:
            _drop_unused_tensors(model, subgraph)
    return made


def _in_turn(model: Any, subgraph: Any, pads: list[Any]) -> tuple[int, list[Any]]:
    """The axis along which two paddings complete each other, and them in order; none where they do not."""
    lengths, paddings = [], []
    for pad in pads:
        values, padding = flatbuffer.op_inputs(subgraph, pad)
        lengths.append(np.array(flatbuffer.tensor_shape(values)))
        known = flatbuffer.constant(model, padding)
        if known is None:
            return 0, []
        paddings.append(known)
    axes = np.flatnonzero(np.sum([np.sum(padding, axis=1) for padding in paddings], axis=0))
    if len(axes) != 1:
        return 0, []
    axis = int(axes[0])
    for one, other in ((0, 1), (1, 0)):
        behind, before = tuple(paddings[one][axis]), tuple(paddings[other][axis])
        if behind == (0, lengths[other][axis]) and before == (lengths[one][axis], 0):
            return axis, [pads[one], pads[other]]
    return axis, []


def _concatenate(model: Any, operator: Any, sources: list[int], axis: int) -> None:
    operator.opcodeIndex = flatbuffer.operator_code(model, "CONCATENATION", _INT16_VERSION)
    operator.inputs = np.array(sources, np.int32)
    operator.builtinOptionsType = schema.BuiltinOptions.ConcatenationOptions
    operator.builtinOptions = schema.ConcatenationOptionsT()
    operator.builtinOptions.axis = axis


def _drop_unused_tensors(model: Any, subgraph: Any) -> None:
    """An interpreter keeps a record of each tensor, used or not."""
    lists = [(subgraph, "inputs"), (subgraph, "outputs")]
    lists += [(operator, end) for operator in subgraph.operators for end in ("inputs", "outputs")]
    used = sorted({int(index) for holder, end in lists for index in getattr(holder, end) if index >= 0})
    places = {old: new for new, old in enumerate(used)} | {-1: -1}
    subgraph.tensors = [subgraph.tensors[index] for index in used]
    for holder, end in lists:
        setattr(holder, end, np.array([places[int(index)] for index in getattr(holder, end)], np.int32))
    for signature in model.signatureDefs or []:
        if model.subgraphs[signature.subgraphIndex] is subgraph:
            for entry in (*signature.inputs, *signature.outputs):
                entry.tensorIndex = places[int(entry.tensorIndex)]
