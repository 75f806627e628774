"""Checks that a `.tflite` file holds a graph whose indices point at something, so that its readers need not."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import Any

from ai_edge_litert import schema_py_generated as schema

#: Interpreters count elements in 32 bits, and TensorFlow Lite Micro goes on with what is left of a larger number.
_MOST_ELEMENTS = (1 << 31) - 1


def fault_of(model: Any) -> str | None:
    """What is wrong with an object tree (`ModelT`), to follow "the TFLite file"; None where nothing is."""
    return next(_faults(model), None)


def _faults(model: Any) -> Iterator[str]:
    if not model.subgraphs or not model.subgraphs[0].operators:
        yield "holds no subgraph with operators"
        return
    buffers, codes = len(_list(model.buffers)), len(_list(model.operatorCodes))
    # 0 and 1 stand for none. No size that is counted from the file would be true of such a file.
    if any(buffer.offset > 1 or buffer.size > 1 for buffer in _list(model.buffers)) or model.externalBuffers:
        yield "keeps constants outside of its flatbuffer, as files over 2 GB do"
    if not _within((entry.buffer for entry in _list(model.metadata)), 0, buffers):
        yield "is corrupt: metadata has no buffer"
    for number, subgraph in enumerate(model.subgraphs):
        tensors = _list(subgraph.tensors)
        for place, tensor in enumerate(tensors):
            if tensor is None or not 0 <= tensor.buffer < max(buffers, 1):
                yield f"is corrupt: tensor {place} of subgraph {number} has no buffer"
            elif math.prod(int(size) for size in _list(tensor.shape)) > _MOST_ELEMENTS:
                yield f"is corrupt: tensor {place} of subgraph {number} is too large: {_shown(tensor.shape)}"
        for end in ("inputs", "outputs"):
            if not _within(getattr(subgraph, end), 0, len(tensors)):
                yield f"is corrupt: {end} of subgraph {number} are tensors that are not there"
            elif number == 0:
                yield from _scale_faults([tensors[int(i)] for i in _list(getattr(subgraph, end))], end)
        for place, operator in enumerate(_list(subgraph.operators)):
            if operator is None or not 0 <= operator.opcodeIndex < codes:
                yield f"is corrupt: operator {place} of subgraph {number} has no code"
                continue
            # -1 stands for an optional input that is not given.
            if not _within(operator.inputs, -1, len(tensors)) or not _within(operator.outputs, 0, len(tensors)):
                yield f"is corrupt: operator {place} of subgraph {number} uses tensors that are not there"
            yield from _loop_faults(model, operator, f"is corrupt: loop {place} of subgraph {number}")


def _scale_faults(ports: Iterable[Any], end: str) -> Iterator[str]:
    """Integers of the inputs and outputs stand for real values by a scale and a zero point."""
    for place, tensor in enumerate(ports):
        quantization = tensor.quantization
        scales = _list(quantization.scale) if quantization is not None else []
        if not all(math.isfinite(scale) and scale > 0 for scale in scales):
            yield f"is corrupt: {end} {place} of subgraph 0 has a scale that is no positive number"
        if len(scales) and len(_list(quantization.zeroPoint)) not in (0, len(scales)):
            yield f"is corrupt: {end} {place} of subgraph 0 has scales and zero points in different numbers"


def _loop_faults(model: Any, operator: Any, which: str) -> Iterator[str]:
    """A loop hands as many values to its condition and its body as it has, and gets as many from the body."""
    options = operator.builtinOptions
    if not isinstance(options, schema.WhileOptionsT):
        return
    if not _within((options.condSubgraphIndex, options.bodySubgraphIndex), 0, len(model.subgraphs)):
        yield f"{which} names subgraphs that are not there"
        return
    condition, body = (model.subgraphs[i] for i in (options.condSubgraphIndex, options.bodySubgraphIndex))
    values = len(_list(operator.inputs))
    ends = (operator.outputs, condition.inputs, body.inputs, body.outputs)
    if any(len(_list(end)) != values for end in ends):
        yield f"{which} does not hand on its {values} values"


def _list(values: Any) -> Any:
    return values if values is not None else []


def _shown(shape: Iterable[int]) -> str:
    return " x ".join(str(int(size)) for size in shape)[:60]


def _within(indices: Iterable[int] | None, first: int, count: int) -> bool:
    return all(first <= int(index) < count for index in _list(indices))
