"""Refusals: what an engine is not even asked, and its own words as one clear line with what to try."""

from __future__ import annotations

import re
from typing import Any

from keras_mtl.core import EngineRefused
from keras_mtl.firmware_host.compute import tflm_blocks
from keras_mtl.tflite import flatbuffer
from keras_mtl.tflite.artifact import Artifact

_NODE = re.compile(r"Node (\w+) \(number (\d+)[^)]*\)")
_MISSING = re.compile(r"Didn't find op for builtin opcode '(\w+)'(?: version '(\d+)')?")
_LONGEST_CHARACTERS = 240


def require_runnable(engine: str, model: Any) -> None:
    """Refuses what an engine is known not to run: it would not take it, hang in it, or give wrong results.

    Args:
        engine: name of the engine.
        model: the object tree of the file.

    Raises:
        EngineRefused: TensorFlow Lite Micro and an operator or a type that it lacks, or a loop, with the layer's name.
    """
    blocking = tflm_blocks(model) if engine == "tflm" else ()
    if blocking:
        raise EngineRefused(f"{blocking[0].why} (layer {blocking[0].layer})", hint=blocking[0].remedy)


def explain(engine: str, artifact: Artifact, refusal: EngineRefused) -> EngineRefused:
    """The same refusal, in words that tell a person what to change.

    Args:
        engine: name of the engine.
        artifact: what it refused.
        refusal: with the interpreter's own words as its message.
    """
    words = refusal.message
    if len(artifact.members) > 1:
        return EngineRefused(f"{engine} refused the artifact: {words}", refusal.hint)
    short = words if len(words) <= _LONGEST_CHARACTERS else words[:_LONGEST_CHARACTERS].rstrip() + "…"
    node, missing = _NODE.search(words), _MISSING.search(words)
    if missing:
        version = f" version {missing[2]}" if missing[2] else ""
        return EngineRefused(
            f"{engine} has no kernel for {missing[1]}{version}", hint="convert the network without that operator"
        )
    if node:
        layer = _layer(artifact.network.model, int(node[2]))
        return EngineRefused(f"{engine} refused operator {node[2]}, {node[1]}{layer}: {short}", refusal.hint)
    return EngineRefused(f"{engine} refused the model: {short}", refusal.hint)


def _layer(model: Any, number: int) -> str:
    """Name of the main graph's operator of that number, to follow its operator; empty where there is none."""
    graph = model.subgraphs[0]
    outputs = flatbuffer.op_outputs(graph, graph.operators[number]) if number < len(graph.operators) else []
    return f" (layer {flatbuffer.tensor_name(outputs[0]).partition(';')[0]})" if outputs else ""
