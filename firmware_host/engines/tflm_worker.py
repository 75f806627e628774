"""Runs a model on TensorFlow Lite Micro (reference kernels). A worker: imported in a process of its own."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np

from keras_mtl.errors import EngineRefused
from keras_mtl.firmware_host.engines.exchange import Arrays, run_all

_ARENA_TOTAL = re.compile(r"Arena allocation total (\d+) bytes")


def work(request: dict[str, Any]) -> dict[str, Any]:
    """Runs the request's model on its inputs and measures the arena."""

    def run(content: bytes, inputs: list[Arrays]) -> tuple[list[Arrays], int]:
        from tflite_micro.python.tflite_micro import runtime

        interpreter = runtime.Interpreter.from_bytes(content, arena_size=request["arena_bytes"])
        outputs = []
        for arrays in inputs:
            # Every time: an invocation may overwrite the inputs' memory.
            for i, values in enumerate(arrays):
                interpreter.set_input(values, i)
            interpreter.invoke()
            outputs.append([np.array(interpreter.get_output(i)) for i in range(request["outputs"])])
        # The figure comes on file descriptor 2 only, which is words.txt here.
        interpreter.print_allocations()
        found = _ARENA_TOTAL.findall(Path(request["folder"], "words.txt").read_text("utf-8", "replace"))
        if not found:
            raise EngineRefused("TensorFlow Lite Micro did not say how much arena it used")
        return outputs, int(found[-1])

    return run_all(request, "tflite-micro", run)
