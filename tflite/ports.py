"""Gives a file's inputs and outputs names and an order of ours: the converter's are paths of operators."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from keras_mtl.tflite import flatbuffer


def name_ports(model: Any, inputs: Sequence[str], outputs: Sequence[str]) -> None:
    """Names the ports of a file in place, and puts them in the order of the names.

    Args:
        model: the object tree of a file.
        inputs: names of ours. Where there are several, the converter was given the inputs by these names.
        outputs: the same for the outputs.
    """
    signature = model.signatureDefs[0] if model.signatureDefs else None
    for end, names in (("inputs", inputs), ("outputs", outputs)):
        if len(names) > 1:
            listed = {flatbuffer.text(entry.name): entry.tensorIndex for entry in getattr(signature, end)}
            setattr(model.subgraphs[0], end, [listed[name] for name in names])
    ports = (*flatbuffer.graph_inputs(model), *flatbuffer.graph_outputs(model))
    for port, name in zip(ports, (*inputs, *outputs), strict=True):
        port.name = name
