"""Turns an interpreter's own words for a refusal into one clear line with what to try."""

from __future__ import annotations

import re
from typing import Any

from keras_mtl.errors import EngineRefused
from keras_mtl.tflite import flatbuffer

_NODE = re.compile(r"Node (\w+) \(number (\d+)[^)]*\)")
_MISSING = re.compile(r"Didn't find op for builtin opcode '(\w+)'(?: version '(\d+)')?")
_LONGEST_CHARACTERS = 240


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
    return any(flatbuffer.tensor_dtype(tensor) == "float16" for tensor in model.subgraphs[0].tensors)
