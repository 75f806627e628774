"""Writes an integer `.tflite` file operator by operator (no TensorFlow, and no converter).

A value gets its grid (scale and zero point) when it is made, or later, by whatever rounds it; `finish` refuses values
that have none. So nothing of a file is decided by anyone but the caller: types, scales, versions, fused activations.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from keras_mtl.core import ConversionError
from keras_mtl.tflite.flatbuffer import model as flatbuffer

_SCHEMA_VERSION = 3
_SIGNATURE = "serving_default"


@dataclass(eq=False)
class Value:
    """A tensor of a file that is being written.

    Attributes:
        name: its name.
        shape: with the batch dimension.
        dtype: "int8", "int16", "int32", "int64"; None while it has no grid.
        scale: step, or one for each index of `axis`.
        zero_point: the integer that stands for 0.
        axis: the dimension of the scales, where there are several.
        data: of a constant.
        index: its number in the file.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str | None = None
    scale: Any = None
    zero_point: int = 0
    axis: int = 0
    data: np.ndarray | None = None
    index: int = -1

    def on_grid_of(self, other: Value) -> Value:
        """Gives the value the grid of another one, and returns it."""
        self.dtype, self.scale, self.zero_point = other.dtype, other.scale, other.zero_point
        return self

    def on_grid(self, bits: int, scale: float, zero_point: int) -> Value:
        """Gives the value a grid, and returns it."""
        self.dtype, self.scale, self.zero_point = f"int{bits}", np.float32(scale), int(zero_point)
        return self


@dataclass
class _Made:
    """An operator that was appended."""

    op: str
    version: int
    operator: Any
    inputs: list[Value | None]
    outputs: list[Value]


class GraphWriter:
    """One graph of operators in the order of computation."""

    def __init__(self) -> None:
        self._model = schema.ModelT()
        self._model.version, self._model.description = _SCHEMA_VERSION, "keras_mtl"
        self._model.operatorCodes, self._model.buffers = [], [schema.BufferT()]
        self._values: list[Value] = []
        self._operators: list[_Made] = []
        self._constants: dict[Any, Value] = {}
        self._names: set[str] = set()

    def value(self, name: str, shape: Any) -> Value:
        """A new value without a grid: an input of the graph, or what an operator makes."""
        made = Value(self._unique(name), tuple(int(size) for size in shape), index=len(self._values))
        self._values.append(made)
        return made

    def constant(
        self, name: str, data: Any, dtype: str, scale: Any = None, zero_point: int = 0, axis: int = 0
    ) -> Value:
        """Constant data. The same data on the same grid is kept once."""
        data = np.ascontiguousarray(np.asarray(data, dtype))
        steps = None if scale is None else np.atleast_1d(np.asarray(scale, np.float32))
        key = (data.tobytes(), data.shape, dtype, steps is not None and steps.tobytes(), zero_point, axis)
        if key not in self._constants:
            made = self.value(name, data.shape)
            made.dtype, made.scale, made.zero_point, made.axis, made.data = dtype, steps, zero_point, axis, data
            self._constants[key] = made
        return self._constants[key]

    def operator(
        self,
        op: str,
        inputs: Sequence[Value | None],
        shape: Any,
        version: int = 1,
        options: tuple[str, dict[str, Any]] | None = None,
        name: str = "",
        outputs: int = 1,
    ) -> Any:
        """Appends an operator.

        Args:
            op: its name, as "CONV_2D".
            inputs: what it reads; None for an optional input that is left out.
            shape: of what it makes; of several outputs all have it.
            version: of the operator, as the types of its inputs want it.
            options: name of its options in the schema, as "Conv2DOptions", and their values.
            name: of what it makes.
            outputs: how many values it makes.

        Returns:
            What it makes, without a grid; of several outputs a list.
        """
        made = [self.value(name or op.lower(), shape) for _ in range(outputs)]
        operator = schema.OperatorT()
        if options is not None:
            operator.builtinOptionsType = getattr(schema.BuiltinOptions, options[0])
            operator.builtinOptions = getattr(schema, f"{options[0]}T")()
            for key, chosen in options[1].items():
                if not hasattr(operator.builtinOptions, key):
                    raise AttributeError(f"{options[0]} has no {key}")
                setattr(operator.builtinOptions, key, chosen)
        self._operators.append(_Made(op, version, operator, list(inputs), made))
        return made[0] if outputs == 1 else made

    def reshaped(self, value: Value, shape: tuple[int, ...], name: str) -> Value:
        """A value in another shape: RESHAPE of what it was reshaped from, and none where that has the shape."""
        made_by = next((one for one in self._operators if value in one.outputs), None)
        if made_by is not None and made_by.op == "RESHAPE" and made_by.inputs[0] is not None:
            value = made_by.inputs[0]
        if value.shape == tuple(shape):
            return value
        return self._reshape(value, shape, name)

    def copied(self, value: Value, name: str) -> Value:
        """The same integers as a value of their own: RESHAPE to the same shape."""
        return self._reshape(value, value.shape, name)

    def _reshape(self, value: Value, shape: tuple[int, ...], name: str) -> Value:
        size = self.constant(f"{name}/shape", shape, "int32")
        options = ("ReshapeOptions", {"newShape": np.array(shape, np.int32)})
        return self.operator("RESHAPE", [value, size], shape, 1, options, name).on_grid_of(value)

    def finish(self, inputs: dict[str, Value], outputs: dict[str, Value]) -> Any:
        """The object tree of the file, whose signature has the given names.

        Raises:
            ConversionError: a value that has no grid.
        """
        kept = self._needed(set(map(id, (*inputs.values(), *outputs.values()))))
        used = [value for value in self._values if id(value) in kept]
        for number, value in enumerate(used):
            value.index = number
            if value.dtype is None:
                raise ConversionError(
                    f"the twin gives no grid to {value.name}", hint="round what a layer computes by a grid"
                )
        graph = schema.SubGraphT()
        graph.name, graph.tensors, graph.operators = "main", [self._tensor(value) for value in used], []
        self._model.operatorCodes = []
        for one in self._operators:
            if id(one.outputs[0]) not in kept:
                continue
            one.operator.opcodeIndex = flatbuffer.operator_code(self._model, one.op, one.version)
            one.operator.inputs = np.array([-1 if each is None else each.index for each in one.inputs], np.int32)
            one.operator.outputs = np.array([each.index for each in one.outputs], np.int32)
            graph.operators.append(one.operator)
        graph.inputs = np.array([value.index for value in inputs.values()], np.int32)
        graph.outputs = np.array([value.index for value in outputs.values()], np.int32)
        self._model.subgraphs = [graph]
        self._model.signatureDefs = [_signature(inputs, outputs)]
        return self._model

    def _needed(self, kept: set[int]) -> set[int]:
        """The values that something given is computed from; an operator whose outputs nobody reads is left out."""
        for one in reversed(self._operators):
            if kept & set(map(id, one.outputs)):
                kept |= {id(each) for each in (*one.inputs, *one.outputs) if each is not None}
        return kept

    def _tensor(self, value: Value) -> Any:
        tensor = schema.TensorT()
        tensor.name, tensor.shape = value.name, np.array(value.shape, np.int32)
        tensor.type = getattr(schema.TensorType, str(value.dtype).upper())
        tensor.buffer = 0
        if value.data is not None:
            buffer = schema.BufferT()
            buffer.data = np.frombuffer(value.data.tobytes(), np.uint8)
            tensor.buffer = len(self._model.buffers)
            self._model.buffers.append(buffer)
        if value.scale is not None:
            tensor.quantization = schema.QuantizationParametersT()
            scale = np.atleast_1d(np.asarray(value.scale, np.float32))
            tensor.quantization.scale = scale
            tensor.quantization.zeroPoint = np.full(scale.shape, value.zero_point, np.int64)
            tensor.quantization.quantizedDimension = value.axis
        return tensor

    def _unique(self, name: str) -> str:
        unique, count = name, 2
        while unique in self._names:
            unique, count = f"{name}_{count}", count + 1
        self._names.add(unique)
        return unique


def _signature(inputs: dict[str, Value], outputs: dict[str, Value]) -> Any:
    made = schema.SignatureDefT()
    made.signatureKey, made.subgraphIndex = _SIGNATURE, 0
    made.inputs, made.outputs = [], []
    for end, values in ((made.inputs, inputs), (made.outputs, outputs)):
        for name, value in values.items():
            entry = schema.TensorMapT()
            entry.name, entry.tensorIndex = name, value.index
            end.append(entry)
    return made
