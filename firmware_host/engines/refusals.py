"""Refusals: what an engine is not even asked, and its own words as one clear line with what to try."""

from __future__ import annotations

import re
from typing import Any

from keras_mtl.errors import EngineRefused
from keras_mtl.tflite import flatbuffer
from keras_mtl.tflite.loops import LOOPS

_NODE = re.compile(r"Node (\w+) \(number (\d+)[^)]*\)")
_MISSING = re.compile(r"Didn't find op for builtin opcode '(\w+)'(?: version '(\d+)')?")
_LONGEST_CHARACTERS = 240


def require_runnable(engine: str, model: Any) -> None:
    """Refuses what an engine is known to load and then never to come back from.

    Args:
        engine: name of the engine.
        model: the object tree of the file.

    Raises:
        EngineRefused: TensorFlow Lite Micro and a file with loops.
    """
    if engine != "tflm":
        return
    names = [flatbuffer.op_name(model, operator) for _, operator in flatbuffer.operators(model)]
    loops = sum(name in LOOPS for name in names)
    if loops:
        raise EngineRefused(
            f"TFLM can't run loops: it loads WHILE ({loops} in this file) and hangs on the first invocation",
            hint="convert cells instead: one step of the loop as a model of its own; LiteRT runs the file as it is",
        )


def explain(engine: str, model: Any, refusal: EngineRefused) -> EngineRefused:
    """The same refusal, said so that a person knows what to change.

    Args:
        engine: name of the engine.
        model: the object tree of the file that it refused.
        refusal: with the interpreter's own words as its message.
    """
    words = refusal.message
    short = words if len(words) <= _LONGEST_CHARACTERS else words[:_LONGEST_CHARACTERS].rstrip() + "…"
    node, missing = _NODE.search(words), _MISSING.search(words)
    if engine == "tflm" and node and node[1] == "DEQUANTIZE" and _has_float16(model):
        return EngineRefused(
            "TFLM has no float16 kernels: its DEQUANTIZE takes int8, int16 and uint8, not FLOAT16 "
            f"(it said: {node[0]} failed to prepare)",
            hint="convert to int8 or int16x8 for a microcontroller; float16 is for LiteRT-class devices",
        )
    if missing:
        version = f" version {missing[2]}" if missing[2] else ""
        return EngineRefused(
            f"{engine} has no kernel for {missing[1]}{version}", hint="convert the network without that operator"
        )
    if node:
        return EngineRefused(f"{engine} refused operator {node[2]}, {node[1]}: {short}", refusal.hint)
    return EngineRefused(f"{engine} refused the model: {short}", refusal.hint)


def _has_float16(model: Any) -> bool:
    return any(flatbuffer.tensor_dtype(t) == "float16" for graph in model.subgraphs for t in graph.tensors)
