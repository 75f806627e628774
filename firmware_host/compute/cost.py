"""What each operator of a `.tflite` file costs, read from the file itself."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from typing import Any

from keras_mtl.core import ArtifactError
from keras_mtl.tflite import flatbuffer
from keras_mtl.tflite.flatbuffer import branch_graphs, data_input, loop_graphs, operator_macs, trip_count

_ELEMENT_BITS = {"bool": 8, "int4": 4, "uint4": 4, "bfloat16": 16, "complex64": 64, "complex128": 128}
#: Loops that share their bodies can make a small file run as many operators as it likes.
_MOST_ROWS = 20_000


@dataclass(frozen=True)
class OpRow:
    """One operator of a file.

    Attributes:
        index: its place among the rows.
        op: its name, as "CONV_2D".
        version: of the operator, in this file.
        name: name of its first output tensor.
        input_dtypes: types of its inputs; "-" for an optional one that is left out.
        input_shapes: shapes of its inputs.
        output_dtype, output_shape: of its first output.
        output_dtypes, output_shapes: of all its outputs; empty in a report that was written before they were listed.
        macs: multiply-accumulates of one inference, all repeats together; None where they are not known. A loop's are
            those of its body's rows, a branch's those of its dearer side's.
        weight_bytes: bytes of the constants that it reads.
        activation_bytes: bytes of its outputs.
        repeats: how often it runs in one inference: 1, or the steps of the loops that it stands in; None where the file
            does not give it.
    """

    index: int
    op: str
    version: int
    name: str
    input_dtypes: tuple[str, ...]
    input_shapes: tuple[tuple[int, ...], ...]
    output_dtype: str
    output_shape: tuple[int, ...]
    macs: int | None
    weight_bytes: int
    activation_bytes: int
    repeats: int | None = 1
    output_dtypes: tuple[str, ...] = ()
    output_shapes: tuple[tuple[int, ...], ...] = ()

    @property
    def data_dtype(self) -> str:
        """Type of the input that holds its data; "-" where it has none."""
        return self.input_dtypes[data_input(self.op)] if len(self.input_dtypes) > data_input(self.op) else "-"

    @property
    def data_elements(self) -> int:
        """Elements of the input that holds its data; 0 where it has none."""
        return sum(map(math.prod, self.input_shapes[data_input(self.op) :][:1]))

    def to_dict(self) -> dict[str, Any]:
        """As plain values, for JSON."""
        return asdict(self)


def op_rows(model: Any) -> tuple[OpRow, ...]:
    """The operators of a file, given as its object tree, in the order of execution.

    A loop (WHILE) is followed by the operators of its body, and a branch (IF) by those of its dearer side, the first
    one where both cost the same; the others are left out, as are those that CALL_ONCE runs at the start.

    Raises:
        ArtifactError: operators with missing tensors, or more of them than can be listed.
    """
    try:
        found = list(islice(_executed(model, 0, 1, frozenset()), _MOST_ROWS + 1))
        if len(found) > _MOST_ROWS:
            raise ArtifactError(f"the TFLite file has more than {_MOST_ROWS:,} operators, those of its loops included")
        return tuple(_row(model, index, *one) for index, one in enumerate(found))
    except (AttributeError, IndexError, TypeError, ValueError):
        raise ArtifactError("the TFLite file has operators with missing tensors", hint="convert it again") from None


def uncounted(model: Any) -> str:
    """Why the MACs of a file (its object tree) can't be counted; empty when they can."""
    for operator in model.subgraphs[0].operators:
        try:
            operator_macs(model, model.subgraphs[0], operator)
        except ArtifactError as error:
            return error.message
    return ""


def activation_bytes_per_second(rows: Sequence[OpRow], calls_per_second: Sequence[float] | None) -> int | None:
    """Bytes that all operators write for one second of audio.

    `calls_per_second`: how often the file of each row runs for one second of audio, one for each row; None: not known.

    Returns:
        The bytes, or None where a loop's repeats or the calls are not known.
    """
    if calls_per_second is None:
        return None
    total = 0.0
    for row, calls in zip(rows, calls_per_second, strict=True):
        if row.repeats is None:
            return None
        total += row.activation_bytes * row.repeats * calls
    return round(total)


def _executed(
    model: Any, number: int, repeats: int | None, within: frozenset[int]
) -> Iterator[tuple[Any, Any, int | None]]:
    """(subgraph, operator, repeats) of a subgraph, its loops' bodies and branches' sides; what holds itself once."""
    graph = model.subgraphs[number]
    for operator in graph.operators or []:
        yield graph, operator, repeats
        name = flatbuffer.op_name(model, operator)
        steps: int | None = 1
        if name == "WHILE":
            inner = loop_graphs(model, operator)[1]
            try:
                steps = trip_count(model, graph, operator)
            except ArtifactError:
                steps = None
        elif name == "IF":
            inner = max(branch_graphs(model, operator), key=lambda side: _side_macs(model, side))
        else:
            continue
        if inner not in within | {number}:
            times = None if steps is None or repeats is None else steps * repeats
            yield from _executed(model, inner, times, within | {number})


def _side_macs(model: Any, number: int) -> float:
    """MACs of a side of a branch: one whose MACs can't be counted is the dearer one."""
    graph = model.subgraphs[number]
    try:
        return sum(operator_macs(model, graph, operator) for operator in graph.operators or [])
    except ArtifactError:
        return math.inf


def _row(model: Any, index: int, subgraph: Any, operator: Any, repeats: int | None) -> OpRow:
    inputs, outputs = flatbuffer.op_inputs(subgraph, operator), flatbuffer.op_outputs(subgraph, operator)
    return OpRow(
        index=index,
        op=flatbuffer.op_name(model, operator),
        version=flatbuffer.op_version(model, operator),
        name=flatbuffer.tensor_name(outputs[0]) if outputs else "",
        input_dtypes=tuple("-" if tensor is None else flatbuffer.tensor_dtype(tensor) for tensor in inputs),
        input_shapes=tuple(() if tensor is None else flatbuffer.tensor_shape(tensor) for tensor in inputs),
        output_dtype=flatbuffer.tensor_dtype(outputs[0]) if outputs else "-",
        output_shape=flatbuffer.tensor_shape(outputs[0]) if outputs else (),
        macs=_macs(model, subgraph, operator, repeats),
        weight_bytes=sum(len(flatbuffer.constant_bytes(model, t) or b"") for t in inputs if t is not None),
        activation_bytes=sum(_tensor_bytes(tensor) for tensor in outputs),
        repeats=repeats,
        output_dtypes=tuple(flatbuffer.tensor_dtype(tensor) for tensor in outputs),
        output_shapes=tuple(flatbuffer.tensor_shape(tensor) for tensor in outputs),
    )


def _macs(model: Any, subgraph: Any, operator: Any, repeats: int | None) -> int | None:
    try:
        once = operator_macs(model, subgraph, operator)
    except ArtifactError:
        return None
    if flatbuffer.op_name(model, operator) in ("WHILE", "IF"):
        return 0
    return None if repeats is None else once * repeats


def _tensor_bytes(tensor: Any) -> int:
    dtype = flatbuffer.tensor_dtype(tensor)
    digits = "".join(character for character in dtype if character.isdigit())
    bits = _ELEMENT_BITS.get(dtype) or (int(digits) if digits else 0)
    return math.ceil(math.prod(flatbuffer.tensor_shape(tensor)) * bits / 8)
