"""What each operator of a `.tflite` file costs, read from the file itself."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

from keras_mtl.errors import ArtifactError
from keras_mtl.tflite import flatbuffer
from keras_mtl.tflite.macs import operator_macs

_ELEMENT_BITS = {"bool": 8, "int4": 4, "uint4": 4, "bfloat16": 16, "complex64": 64, "complex128": 128}


@dataclass(frozen=True)
class OpRow:
    """One operator of the main subgraph.

    Attributes:
        index: its place in the order of execution.
        op: its name, as "CONV_2D".
        version: of the operator, in this file.
        name: name of its first output tensor.
        input_dtypes: types of its inputs; "-" for an optional one that is left out.
        input_shapes: shapes of its inputs.
        output_dtype, output_shape: of its first output.
        macs: multiply-accumulates of one inference; None where the file does not tell.
        weight_bytes: bytes of the constants that it reads.
        activation_bytes: bytes of its outputs.
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

    def to_dict(self) -> dict[str, Any]:
        """As plain values, for JSON."""
        return asdict(self)


def op_rows(content: bytes) -> tuple[OpRow, ...]:
    """The operators of a file's main subgraph, in the order of execution.

    Args:
        content: bytes of a `.tflite` file.

    Raises:
        ArtifactError: not a TFLite file, or a corrupt one.
    """
    model = flatbuffer.read_model(content)
    main = model.subgraphs[0]
    try:
        return tuple(_row(model, main, index, operator) for index, operator in enumerate(main.operators))
    except (AttributeError, IndexError, TypeError, ValueError):
        raise ArtifactError("the TFLite file has operators with missing tensors", hint="convert it again") from None


def uncounted(content: bytes) -> str:
    """Why the file's MACs can't be counted; empty when they can."""
    model = flatbuffer.read_model(content)
    for operator in model.subgraphs[0].operators:
        try:
            operator_macs(model, model.subgraphs[0], operator)
        except ArtifactError as error:
            return error.message
    return ""


def _row(model: Any, subgraph: Any, index: int, operator: Any) -> OpRow:
    inputs, outputs = flatbuffer.op_inputs(subgraph, operator), flatbuffer.op_outputs(subgraph, operator)
    try:
        macs: int | None = operator_macs(model, subgraph, operator)
    except ArtifactError:
        macs = None
    return OpRow(
        index=index,
        op=flatbuffer.op_name(model, operator),
        version=flatbuffer.op_version(model, operator),
        name=flatbuffer.tensor_name(outputs[0]) if outputs else "",
        input_dtypes=tuple("-" if tensor is None else flatbuffer.tensor_dtype(tensor) for tensor in inputs),
        input_shapes=tuple(() if tensor is None else flatbuffer.tensor_shape(tensor) for tensor in inputs),
        output_dtype=flatbuffer.tensor_dtype(outputs[0]) if outputs else "-",
        output_shape=flatbuffer.tensor_shape(outputs[0]) if outputs else (),
        macs=macs,
        weight_bytes=sum(len(flatbuffer.constant_bytes(model, t) or b"") for t in inputs if t is not None),
        activation_bytes=sum(_tensor_bytes(tensor) for tensor in outputs),
    )


def _tensor_bytes(tensor: Any) -> int:
    dtype = flatbuffer.tensor_dtype(tensor)
    digits = "".join(character for character in dtype if character.isdigit())
    bits = _ELEMENT_BITS.get(dtype) or (int(digits) if digits else 0)
    return math.ceil(math.prod(flatbuffer.tensor_shape(tensor)) * bits / 8)
