"""Checks on a quantized `.tflite` file that the converter does not make (no TensorFlow here).

The converter's strict integer mode can leave float islands (DEQUANTIZE, a float operator, QUANTIZE) without a word, and
it gives dense layers per-channel weights, which CMSIS-NN's int16x8 FULLY_CONNECTED refuses on the device although the
TensorFlow Lite Micro interpreter on the host runs them. So the file itself is read, operator by operator.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from keras_mtl.core import ConversionError
from keras_mtl.tflite.flatbuffer import model as flatbuffer

_FLOATS = {"float16", "float32", "float64", "bfloat16", "complex64", "complex128"}


@dataclass(frozen=True)
class FloatIsland:
    """One operator of a file that reads or writes floating-point tensors.

    Attributes:
        index: place of the operator, counted over all subgraphs.
        op: its name.
        tensors: names of the floating-point tensors.
    """

    index: int
    op: str
    tensors: tuple[str, ...]


def float_islands(model: Any) -> tuple[FloatIsland, ...]:
    """The operators that read or write floating-point tensors; none in an integer-only file."""
    found = []
    for index, (subgraph, operator) in enumerate(flatbuffer.operators(model)):
        tensors = [*flatbuffer.op_inputs(subgraph, operator), *flatbuffer.op_outputs(subgraph, operator)]
        names = tuple(
            flatbuffer.tensor_name(tensor)
            for tensor in tensors
            if tensor is not None and flatbuffer.tensor_dtype(tensor) in _FLOATS
        )
        if names:
            found.append(FloatIsland(index, flatbuffer.op_name(model, operator), names))
    return tuple(found)


def per_channel_dense(model: Any) -> tuple[str, ...]:
    """Names of int16x8 FULLY_CONNECTED weights with more than one scale: CMSIS-NN refuses to prepare them."""
    found: list[str] = []
    for subgraph, operator in flatbuffer.operators(model):
        if flatbuffer.op_name(model, operator) != "FULLY_CONNECTED":
            continue
        values, weights, *_ = (*flatbuffer.op_inputs(subgraph, operator), None, None)
        if values is None or weights is None or flatbuffer.tensor_dtype(values) != "int16":
            continue
        quantization = flatbuffer.quantization(weights)
        if quantization is not None and len(quantization.scale) > 1:
            found.append(flatbuffer.tensor_name(weights))
    return tuple(found)


def require_integer_only(model: Any) -> None:
    """Refuses a file that would need floating-point kernels, or dense weights that CMSIS-NN can't take.

    Raises:
        ConversionError: naming the operators and tensors.
    """
    islands = float_islands(model)
    if islands:
        listed = ", ".join(f"{island.op} ({island.tensors[0]})" for island in islands[:3])
        more = f" and {len(islands) - 3} more" if len(islands) > 3 else ""
        raise ConversionError(
            f"the file is not integer-only: {listed}{more}",
            hint="an operator between input and output lacks a quantized range",
        )
    dense = per_channel_dense(model)
    if dense:
        raise ConversionError(
            f"int16x8 FULLY_CONNECTED with per-channel weights: {', '.join(dense)}",
            hint="CMSIS-NN takes per-tensor dense weights only",
        )
