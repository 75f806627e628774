"""The quantization-aware twin of a functional model."""

from __future__ import annotations

from collections.abc import Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import keras

from keras_mtl.core import ConversionError, nearest
from keras_mtl.qat.batches import input_names
from keras_mtl.tflite.kinds import (  # noqa: F401  registers the kinds
    Builder,
    Call,
    Input,
    Signal,
    activations,
    concatenation,
    convolutions,
    elementwise,
    functions,
    pooling,
    recurrent,
    shapes,
    time_distributed,
)
from keras_mtl.tflite.qat import Graph, Scheme, graph_of, scheme_of


def quantize_model(
    model: keras.Model, scheme: str = "int8", layers: Mapping[str, str] | None = None, learning: str = "gradient"
) -> keras.Model:
    """The quantization-aware twin of a model. `calibrate` it before use.

    Args:
        model: a functional (or Sequential) model with fixed shapes but for the batch. It is read, not changed.
        scheme: "int8" or "int16x8" (16-bit activations, 8-bit weights).
        layers: schemes of single layers that differ from it, by their names or patterns as "block_1_*"; the first that
            fits counts. Between layers of different schemes there is a QUANTIZE.
        learning: how ranges change in training: "gradient" where they clip, or "moving_average" of the extremes.

    Returns:
        A functional model with the inputs and outputs of the given one. Layers that do nothing at inference (dropout)
        are left out; batch normalisation behind a convolution or dense layer is part of it.

    Raises:
        ConversionError: an unknown scheme, a pattern that fits no layer, a model that is not functional or has open
            shapes, or a layer without a twin.
    """
    graph = graph_of(model)
    default = scheme_of(scheme, learning)
    builder = Builder(graph, _schemes(graph, default, {} if layers is None else layers, learning))
    ends = []
    for value, tensor, name in zip(graph.inputs, model.inputs, input_names(model), strict=True):
        _require_fixed(name, tensor)
        end = keras.Input(tensor.shape[1:], dtype="float32", name=name)
        ends.append(end)
        reader = recurrent.reader_of_state(graph, value)
        if reader is not None:
            builder.signals[value] = Signal(end, None, None, builder.scheme_of(reader.layer.name).bits)
            continue
        grid = Call.grid_of(default)
        made = Input(grid=grid, name=builder.name(f"{name}_grid"))(end)
        values, step, zero_point = made
        builder.signals[value] = Signal(values, step, zero_point, default.bits)
    outputs = [signal.values for signal in builder.build()]
    _name_outputs(outputs, model.output_names)
    inputs = keras.tree.pack_sequence_as(model._inputs_struct, ends)
    return keras.Model(inputs, keras.tree.pack_sequence_as(model._outputs_struct, outputs), name=model.name)


def load(path: str | Path) -> keras.Model:
    """Reads a twin that `twin.save` wrote, with what it was compiled with."""
    return keras.saving.load_model(path)


def _schemes(graph: Graph, default: Scheme, layers: Mapping[str, str], learning: str) -> Any:
    """The scheme of each layer by its name."""
    named = {pattern: scheme_of(scheme, learning) for pattern, scheme in layers.items()}
    names = {node.layer.name for node in graph.nodes}
    for pattern in named:
        if not any(fnmatchcase(name, pattern) for name in names):
            raise ConversionError(f"no layer is called {pattern}", hint=nearest(pattern, sorted(names)))

    def scheme(name: str) -> Scheme:
        return next((chosen for pattern, chosen in named.items() if fnmatchcase(name, pattern)), default)

    return scheme


def _require_fixed(name: str, tensor: Any) -> None:
    if None in tensor.shape[1:]:
        raise ConversionError(
            f"input {name} has the open shape {list(tensor.shape)}",
            hint="build the model anew with a fixed shape: a microcontroller's memory is planned beforehand",
        )
    if not str(tensor.dtype).startswith("float"):
        raise ConversionError(f"input {name} has {tensor.dtype} values", hint="give the model real values")


def _name_outputs(outputs: list[Any], names: list[str]) -> None:
    """Gives the operators that make the outputs the names of the float model's, by which losses are given."""
    makers: dict[Any, str] = {}
    for tensor, name in zip(outputs, names, strict=True):
        makers.setdefault(tensor._keras_history.operation, name)
    known: dict[str, Any] = {}
    for maker in makers:
        _collect(maker, known)
    for maker, name in makers.items():
        other = known.get(name)
        if other is not None and other is not maker:
            other.name = f"{name}_inside"
        if maker.name != name:
            maker.name = name


def _collect(operation: Any, known: dict[str, Any]) -> None:
    """All operations that an operation depends on, by their names."""
    waiting = [operation]
    while waiting:
        one = waiting.pop()
        if one.name in known:
            continue
        known[one.name] = one
        waiting += [tensor._keras_history.operation for node in one._inbound_nodes for tensor in node.input_tensors]
