"""Runs a model on TensorFlow Lite Micro (reference kernels). A worker: imported in a process of its own."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np

from keras_mtl.errors import EngineRefused
from keras_mtl.firmware_host.engines.exchange import WORDS, Arrays, Opened, run_all

PACKAGE = "tflite-micro"
_ARENA_TOTAL = re.compile(r"Arena allocation total (\d+) bytes")


def work(request: dict[str, Any]) -> dict[str, Any]:
    """Runs the request's model on its inputs and measures the arena."""
    return run_all(request, PACKAGE, open_model)


def open_model(content: bytes, request: dict[str, Any]) -> Opened:
    """Opens a model with the request's `arena_bytes`, of which `arena` tells how much it used."""
    from tflite_micro.python.tflite_micro import runtime

    from keras_mtl.tflite import flatbuffer

    interpreter = runtime.Interpreter.from_bytes(content, arena_size=request["arena_bytes"])
    outputs = len(flatbuffer.graph_outputs(flatbuffer.read_model(content)))

    def invoke(arrays: Arrays) -> Arrays:
        # Every time: an invocation may overwrite the inputs' memory.
        for i, values in enumerate(arrays):
            interpreter.set_input(values, i)
        interpreter.invoke()
        return [np.array(interpreter.get_output(i)) for i in range(outputs)]

    def arena() -> int:
        # The figure comes on file descriptor 2 only, which is a file here.
        interpreter.print_allocations()
        found = _ARENA_TOTAL.findall(Path(request["folder"], WORDS).read_text("utf-8", "replace"))
        if not found:
            raise EngineRefused("TensorFlow Lite Micro did not say how much arena it used")
        return int(found[-1])

    return Opened(invoke, arena)
