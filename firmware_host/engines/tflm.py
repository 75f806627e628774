"""Opens files on TensorFlow Lite Micro (reference kernels). Imported in a worker's process."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np

from keras_mtl.core import EngineRefused
from keras_mtl.firmware_host.device import OpenMember
from keras_mtl.firmware_host.engines.exchange import WORDS
from keras_mtl.tflite.artifact import Port

PACKAGE = "tflite-micro"
_ARENA_TOTAL = re.compile(r"Arena allocation total (\d+) bytes")


def open_model(
    content: bytes, inputs: tuple[Port, ...], outputs: tuple[Port, ...], request: dict[str, Any]
) -> OpenMember:
    """Opens a file with the request's `arena_bytes`, of which `arena` gives how much it used."""
    from tflite_micro.python.tflite_micro import runtime

    interpreter = runtime.Interpreter.from_bytes(content, arena_size=request["arena_bytes"])

    def invoke(arrays: list[np.ndarray]) -> list[np.ndarray]:
        # Every time: an invocation may overwrite the inputs' memory.
        for i, values in enumerate(arrays):
            interpreter.set_input(values, i)
        interpreter.invoke()
        return [np.array(interpreter.get_output(i)) for i in range(len(outputs))]

    def arena() -> int:
        # The figure comes on file descriptor 2 only, which is a file here.
        interpreter.print_allocations()
        found = _ARENA_TOTAL.findall(Path(request["folder"], WORDS).read_text("utf-8", "replace"))
        if not found:
            raise EngineRefused("TensorFlow Lite Micro did not print how much arena it used")
        return int(found[-1])

    return OpenMember(invoke, inputs, outputs, arena)
