"""Checks the structure of a `.tflite` file before it is unpacked, so that no offset leads out of it or back to itself.

The schema's own reader follows every offset it finds. A few changed bytes make a vector seem to hold millions of tables
or a thousand tables seem to be one and the same, and reading then takes hours and all memory. Here each table, vector
and string is found to lie within the file, and all together to be no more than a writer could have put there:
FlatBuffers' C++ library has a verifier that does the same, its Python library has none.
Layout: https://flatbuffers.dev/internals (tables begin with the distance to their vtable, which lists their fields).
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterable, Iterator
from typing import Any

from ai_edge_litert import schema_py_generated as schema

#: No writer shares tables or vectors between owners, so that all together are no larger than the file; with reserve.
_TIMES, _RESERVE_BYTES = 2, 1 << 16
#: Networks of microcontrollers have some hundred tables.
_MOST_TABLES = 200_000
_ROOT = "Model"
#: Fields of each table by their slot: a vector of numbers of so many bytes, a string ("text"), a table ("Name"), or a
#: vector of tables ("[Name]"). Single numbers and unions need no entry: all fields must lie within their table.
_FIELDS: dict[str, dict[int, int | str]] = {
    "Model": {
        6: "[OperatorCode]",
        8: "[SubGraph]",
        10: "text",
        12: "[Buffer]",
        14: 4,
        16: "[Metadata]",
        18: "[SignatureDef]",
        20: "[ExternalBufferGroup]",
        22: "[ExternalBuffer]",
    },
    "OperatorCode": {6: "text"},
    "SubGraph": {4: "[Tensor]", 6: 4, 8: 4, 10: "[Operator]", 12: "text"},
    "Tensor": {4: 4, 10: "text", 12: "QuantizationParameters", 16: "SparsityParameters", 18: 4, 22: "[VariantSubType]"},
    "QuantizationParameters": {4: 4, 6: 4, 8: 4, 10: 8},
    "SparsityParameters": {4: 4, 6: 4, 8: "[DimensionMetadata]"},
    "DimensionMetadata": {},
    "VariantSubType": {4: 4},
    "Operator": {6: 4, 8: 4, 14: 1, 18: 1, 20: 4},
    "Buffer": {4: 1},
    "Metadata": {4: "text"},
    "SignatureDef": {4: "[TensorMap]", 6: "[TensorMap]", 8: "text"},
    "TensorMap": {4: "text"},
    "ExternalBufferGroup": {4: "text"},
    "ExternalBuffer": {12: "text"},
    "Options": {},
    "VarHandleOptions": {4: "text", 6: "text"},
    "StableHLOCompositeOptions": {4: "text"},
    "StablehloCustomCallOptions": {4: "text", 8: "text"},
}
#: Unions, as (slot of the type, slot of the value); the options of most operators hold numbers only.
_UNIONS: dict[str, tuple[tuple[int, int], ...]] = {
    "Operator": ((10, 12), (26, 28)),
    "QuantizationParameters": ((12, 14),),
    "DimensionMetadata": ((8, 10), (12, 14)),
}
_WITH_TEXT = {
    (12, schema.BuiltinOptions.VarHandleOptions): "VarHandleOptions",
    (28, schema.BuiltinOptions2.StableHLOCompositeOptions): "StableHLOCompositeOptions",
    (28, schema.BuiltinOptions2.StablehloCustomCallOptions): "StablehloCustomCallOptions",
}
_UINT16, _UINT32, _INT32 = struct.Struct("<H"), struct.Struct("<I"), struct.Struct("<i")
#: Interpreters count elements in 32 bits, and TensorFlow Lite Micro goes on with what is left of a larger number.
_MOST_ELEMENTS = (1 << 31) - 1


class _Fault(Exception):
    """What is wrong, to follow "the TFLite file"."""


def structure_fault(content: bytes) -> str | None:
    """What is wrong with the structure of a file, to follow "the TFLite file"; None where nothing is.

    Args:
        content: bytes of a `.tflite` file, at least 8.
    """
    try:
        _Verifier(content).table(_ROOT, 0)
    except _Fault as fault:
        return str(fault)
    except struct.error:  # an offset that leads out of the file
        return "is cut off or corrupt: a part of it lies beyond its end"
    return None


class _Verifier:
    """Goes over a file once, as a reader would, and counts what that would take."""

    def __init__(self, content: bytes) -> None:
        self._content, self._size = content, len(content)
        self._bytes_left = _TIMES * len(content) + _RESERVE_BYTES
        self._tables_left = _MOST_TABLES

    def table(self, name: str, reference: int) -> None:
        """Checks the table that the offset at `reference` names, and all below it."""
        start = self._target(reference)
        fields = self._fields(start)
        for slot, kind in _FIELDS[name].items():
            place = fields.get(slot)
            if place is None:
                continue
            if isinstance(kind, int):
                self._vector(place, kind)
            elif kind == "text":
                self._vector(place, 1)
            elif kind.startswith("["):
                self._tables(place, kind[1:-1])
            else:
                self.table(kind, place)
        for type_slot, slot in _UNIONS.get(name, ()):
            if type_slot in fields and slot in fields:
                number = self._content[fields[type_slot]]
                if number:
                    self.table(_WITH_TEXT.get((slot, number), "Options"), fields[slot])

    def _fields(self, start: int) -> dict[int, int]:
        """Where the fields of a table are, by their slot; all of them lie within the table, and it in the file."""
        self._tables_left -= 1
        if self._tables_left < 0:
            raise _Fault(f"is corrupt, or holds more than {_MOST_TABLES:,} tables")
        content = self._content
        listed = start - _INT32.unpack_from(content, start)[0]
        if not 0 <= listed <= self._size - 4:
            raise _Fault("is cut off or corrupt: a table lies beyond its end")
        listed_bytes, table_bytes = struct.unpack_from("<HH", content, listed)
        whole = 4 <= listed_bytes <= self._size - listed and 4 <= table_bytes <= self._size - start
        if not whole or listed_bytes % 2:
            raise _Fault("is cut off or corrupt: a table lies beyond its end")
        self._spend(table_bytes)
        offsets = struct.unpack_from(f"<{listed_bytes // 2 - 2}H", content, listed + 4)
        if max(offsets, default=0) >= table_bytes:
            raise _Fault("is corrupt: a field lies beyond its table")
        return {4 + 2 * i: start + offset for i, offset in enumerate(offsets) if offset}

    def _tables(self, reference: int, name: str) -> None:
        start, count = self._vector(reference, 4)
        for place in range(start, start + 4 * count, 4):
            self.table(name, place)

    def _vector(self, reference: int, element_bytes: int) -> tuple[int, int]:
        """Where the elements of a vector or string begin, and how many there are."""
        start = self._target(reference)
        (count,) = _UINT32.unpack_from(self._content, start)
        if count * element_bytes > self._size - start - 4:
            raise _Fault("is cut off or corrupt: a vector lies beyond its end")
        self._spend(4 + count * element_bytes)
        return start + 4, count

    def _target(self, reference: int) -> int:
        """Where the offset that is stored at `reference` leads to."""
        return reference + int(_UINT32.unpack_from(self._content, reference)[0])

    def _spend(self, count: int) -> None:
        self._bytes_left -= count
        if self._bytes_left < 0:
            raise _Fault("is corrupt: the same part of it is used over and over")


def fault_of(model: Any) -> str | None:
    """What is wrong with an object tree (`ModelT`), to follow "the TFLite file"; None where nothing is."""
    return next(_faults(model), None)


def _faults(model: Any) -> Iterator[str]:
    if not model.subgraphs:
        yield "holds no subgraph"
        return
    if not any(len(_list(subgraph.operators)) for subgraph in model.subgraphs):
        yield "computes nothing: it holds no operators"
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
