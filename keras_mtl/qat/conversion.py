"""A twin as an artifact: an integer `.tflite` file, its manifest, and golden data."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import tree

from keras_mtl.core import ConversionError
from keras_mtl.qat.batches import ROWS, arrays_of, input_names, nodes_of
from keras_mtl.tflite import flatbuffer
from keras_mtl.tflite.artifact import UNKNOWN, Artifact, Golden, Member, Port, name_ports
from keras_mtl.tflite.flatbuffer import GraphWriter, Value, require_integer_only
from keras_mtl.tflite.kinds import Operator


def convert(twin: keras.Model, golden: Any, hop_s: float | None = None) -> Artifact:
    """Writes a twin as an integer `.tflite` file, operator by operator. The same twin gives the same bytes.

    Args:
        twin: a model of `quantize_model`, calibrated and perhaps trained.
        golden: some inputs as the twin takes them, [n, ...] of each: with what the twin gives for them they go with the
            artifact, and engines and devices are held against them.
        hop_s: seconds from one inference to the next, where that is known: for figures by the second.

    Returns:
        An artifact of one file with batch 1, whose inputs and outputs are integers.

    Raises:
        ConversionError: golden inputs that do not fit, an operator that does not say how it is written, or a file that
            is not integer-only.
    """
    model = write(twin)
    require_integer_only(model)
    name_ports(model, tuple(input_names(twin)), output_names(twin))
    inputs, outputs = (
        [Port.of(end) for end in ends] for ends in (flatbuffer.graph_inputs(model), flatbuffer.graph_outputs(model))
    )
    kinds = sorted({scheme for layer in twin._flatten_layers() if (scheme := _scheme(layer))})
    facts: dict[str, Any] = {"part": UNKNOWN, "format": kinds[0] if len(kinds) == 1 else "mixed", "system": twin.name}
    if hop_s is not None:
        facts["hop_s"] = float(hop_s)
    return Artifact.of_member(Member.build("network", model, facts), _golden(twin, golden, inputs, outputs))


def write(twin: keras.Model) -> Any:
    """The object tree of a twin's file.

    Raises:
        ConversionError: an operator that does not say how it is written.
    """
    writer, values = GraphWriter(), dict[int, Value]()
    inputs = {}
    for name, port in zip(input_names(twin), twin.inputs, strict=True):
        inputs[name] = values[id(port)] = writer.value(name, (1, *port.shape[1:]))
    for node in nodes_of(twin):
        layer = node.operation
        if not isinstance(layer, Operator):
            raise ConversionError(
                f"layer {layer.name} ({type(layer).__name__}) of the twin does not say how it is written to a file",
                hint="a registered kind builds operators: subclasses of keras_mtl.qat.Operator",
            )
        # Of three tensors that are a signal, the values are in the file, step and zero point in its grid.
        made = layer.to_file(writer, *(values[id(each)] for each in node.input_tensors if id(each) in values))
        listed = made if isinstance(made, list) else [made]
        values.update({id(out): value for out, value in zip(node.outputs[::3], listed, strict=True)})
    outputs: dict[str, Value] = {}
    for name, port in zip(output_names(twin), twin.outputs, strict=True):
        value = values[id(port)]
        outputs[name] = writer.copied(value, name) if value in outputs.values() else value
    return writer.finish(inputs, outputs)


def output_names(twin: keras.Model) -> tuple[str, ...]:
    """Names of a model's outputs in their order, which is that of sorted keys: keys, or else the layers', numbered."""
    output = twin._outputs_struct
    keyed = isinstance(output, dict)
    names = ["/".join(map(str, path)) for path, _ in tree.flatten_with_path(output)] if keyed else twin.output_names
    earlier = [names[:number].count(name) for number, name in enumerate(names)]
    return tuple(f"{name}_{count + 1}" if count else name for name, count in zip(names, earlier, strict=True))


def _scheme(layer: Any) -> str | None:
    grid = layer.grid if isinstance(layer, Operator) else None
    return None if grid is None else {8: "int8", 16: "int16x8"}[grid.bits]


def _golden(twin: keras.Model, golden: Any, inputs: list[Port], outputs: list[Port]) -> Golden:
    """Integers that go in, and those that the twin gives for them."""
    arrays = arrays_of(twin, golden)
    if not len(arrays[0]) or len({len(array) for array in arrays}) > 1:
        raise ConversionError("golden inputs need rows, as many of each input", hint="some ten examples do")
    given = [port.quantize(array) for port, array in zip(inputs, arrays, strict=True)]
    real = [port.dequantize(array) for port, array in zip(inputs, given, strict=True)]
    found = []
    for start in range(0, len(real[0]), ROWS):
        rows = [array[start : start + ROWS] for array in real]
        made = twin(tree.pack_sequence_as(twin._inputs_struct, rows), training=False)
        found.append([np.asarray(each) for each in tree.flatten(made)])
    made = [np.concatenate(each) for each in zip(*found, strict=True)]
    return Golden.of_rows(tuple(given), tuple(port.quantize(each) for port, each in zip(outputs, made, strict=True)))
