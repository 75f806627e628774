"""Inputs to try a file on that came without golden data: seeded random ones that its operators can take.

Quantized and real inputs go over their whole range. Other integers may be indices, shapes or axes, in which an
interpreter refuses most values: what an input is used for is read from the operators that take it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from keras_mtl.core import ArtifactError
from keras_mtl.tflite import flatbuffer
from keras_mtl.tflite.artifact import Member, Port
from keras_mtl.tflite.flatbuffer import data_input

_ROWS = 8
_SEED = 20
#: Of one input: 60 s of stereo at 48 kHz are 5.8 million.
_MOST_ELEMENTS = 1 << 23
#: Unquantized integers that are data go up to here: sums and products of a few of them stay within 32 bits.
_MOST_COUNT = 127
_WHOLE_RANGE = ("int8", "uint8", "int16", "uint16")
_COUNTS = ("int32", "uint32", "int64", "uint64")
#: Operators that hand on what they are given, so that it is used for what their output is used for.
_HAND_ON = frozenset({"CAST", "EXPAND_DIMS", "RESHAPE", "SQUEEZE"})
_DIVISIONS = frozenset({"DIV", "FLOOR_DIV", "FLOOR_MOD"})
_ELEMENTWISE = _DIVISIONS | {
    *("ADD", "SUB", "MUL", "MAXIMUM", "MINIMUM", "POW", "SQUARED_DIFFERENCE", "EQUAL", "NOT_EQUAL"),
    *("GREATER", "GREATER_EQUAL", "LESS", "LESS_EQUAL", "SELECT", "SELECT_V2", "CONCATENATION", "PACK"),
}
_Shape = tuple[int, ...]
#: Inputs that say what shape comes out, by operator and place: from the shapes of its data and of its output.
_SHAPES: dict[tuple[str, int], Callable[[_Shape, _Shape], Any]] = {
    **dict.fromkeys(
        (("RESHAPE", 1), ("FILL", 0), ("BROADCAST_TO", 1), ("TRANSPOSE_CONV", 0), ("CONV_3D_TRANSPOSE", 0)),
        lambda data, out: out,
    ),
    **dict.fromkeys((("RESIZE_BILINEAR", 1), ("RESIZE_NEAREST_NEIGHBOR", 1)), lambda data, out: out[1:3]),
    **dict.fromkeys((("SLICE", 2), ("STRIDED_SLICE", 2)), lambda data, out: out),
    **dict.fromkeys(
        (("PAD", 1), ("PADV2", 1), ("MIRROR_PAD", 1)),
        lambda data, out: [(0, after - before) for before, after in zip(data, out, strict=True)],
    ),
    ("STRIDED_SLICE", 3): lambda data, out: np.ones(len(data)),
    ("TILE", 1): lambda data, out: [after // before for before, after in zip(data, out, strict=True)],
    ("TRANSPOSE", 1): lambda data, out: np.arange(len(data)),
}


def random_inputs(member: Member, zeros: bool = False) -> dict[str, np.ndarray]:
    """Inputs for a file without golden data: `input_0`, ... [8, ...].

    The first row of indices, of other unquantized integers and of truth values is 0.

    Args:
        member: the file.
        zeros: whether all of these are 0, for a file that takes no other ones.

    Raises:
        ArtifactError: an input without a fixed shape, or of a type that can't be made.
    """
    if not member.inputs:
        raise ArtifactError("the TFLite file has no input tensor")
    generator = np.random.default_rng(_SEED)
    numbers = flatbuffer.indices(member.model.subgraphs[0].inputs)
    return {
        f"input_{i}": _random(generator, member.model, number, port, zeros)
        for i, (number, port) in enumerate(zip(numbers, member.inputs, strict=True))
    }


def takes_unquantized(member: Member) -> bool:
    """Whether a file has inputs that may be indices, shapes or the like."""
    return any(port.scale is None and port.dtype in (*_COUNTS, "bool") for port in member.inputs)


def _random(generator: np.random.Generator, model: Any, number: int, port: Port, zeros: bool) -> np.ndarray:
    shape, name = port.shape, port.dtype
    if min(shape, default=1) < 1:
        raise ArtifactError(f"the input has no fixed shape: {list(shape)}", hint="convert with a fixed batch of 1")
    inner = shape[1:] if shape[:1] == (1,) else shape
    if math.prod(inner) > _MOST_ELEMENTS:
        raise ArtifactError(f"the input is too large to be tried: {list(shape)}", hint="give the file golden data")
    rows = (_ROWS, *inner)
    if name in ("float16", "float32", "float64"):
        return generator.standard_normal(rows).astype(name)
    if name in _WHOLE_RANGE or (name in _COUNTS and port.scale is not None):
        limits = np.iinfo(name)
        return generator.integers(limits.min, limits.max, rows, endpoint=True).astype(name)
    if name not in (*_COUNTS, "bool"):
        raise ArtifactError(f"no test inputs can be made of type {name}", hint="give the file golden data")
    fixed, least, most = (None, 0, 1) if name == "bool" else _wanted(model, number, math.prod(shape))
    if fixed is not None:
        return np.broadcast_to(fixed.reshape(inner), rows).astype(name)
    values = generator.integers(least, most, rows, endpoint=True)
    values[: _ROWS if zeros else 1] = least
    return values.astype(name)


def _wanted(model: Any, number: int, elements: int) -> tuple[np.ndarray | None, int, int]:
    """What unquantized integers are to be: one array, or else any from the least to the most."""
    graph, least, most = model.subgraphs[0], 0, _MOST_COUNT
    for operator, place in _uses(model, graph, number):
        op, outputs = flatbuffer.op_name(model, operator), flatbuffer.op_outputs(graph, operator)
        inputs = flatbuffer.op_inputs(graph, operator)
        shapes = [() if tensor is None else flatbuffer.tensor_shape(tensor) for tensor in inputs]
        out = flatbuffer.tensor_shape(outputs[0]) if outputs else ()
        try:
            if (op, place) in _SHAPES:
                found = np.asarray(_SHAPES[op, place](shapes[data_input(op)], out), np.int64)
                if found.size == elements:
                    return found, 0, 0
            limit = _index_limit(op, place, shapes, out, operator.builtinOptions)
        except (IndexError, ValueError, ZeroDivisionError):
            continue  # a damaged operator, which every interpreter refuses
        if limit is not None:
            most = min(most, limit - 1)
        elif op in _DIVISIONS and place == 1:
            least = 1
        elif op not in _ELEMENTWISE and place != data_input(op) and op not in ("WHILE", "IF"):
            most = 0  # an axis or a count: 0 is the one that is always there
    return None, least, max(least, most)


def _index_limit(op: str, place: int, shapes: list[_Shape], out: _Shape, options: Any) -> int | None:
    """How many values indices may have; None where the input holds none."""
    if (op, place) == ("GATHER", 1):
        return shapes[0][getattr(options, "axis", 0)]
    if (op, place) == ("GATHER_ND", 1):
        return min(shapes[0][: shapes[1][-1]])
    if (op, place) == ("EMBEDDING_LOOKUP", 0):
        return shapes[1][0]
    if (op, place) == ("ONE_HOT", 0):
        return out[getattr(options, "axis", -1)]
    return min(out, default=1) if (op, place) == ("SCATTER_ND", 0) else None


def _uses(model: Any, graph: Any, number: int) -> Iterator[tuple[Any, int]]:
    """(operator, place) of all that use a tensor, also behind operators that hand it on."""
    alike = {number}
    for operator in graph.operators:  # in the order of execution
        for place, tensor in enumerate(flatbuffer.indices(operator.inputs)):
            if tensor not in alike:
                continue
            if place == 0 and flatbuffer.op_name(model, operator) in _HAND_ON:
                alike.update(flatbuffer.indices(operator.outputs))
            else:
                yield operator, place
