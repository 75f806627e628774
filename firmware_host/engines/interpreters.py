"""Opens files on the engines' interpreters. Imported in a worker's process."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np

from keras_mtl.core import EngineRefused
from keras_mtl.firmware_host.device import OpenMember
from keras_mtl.firmware_host.engines.compiled import open_compiled, ports_of
from keras_mtl.firmware_host.engines.exchange import C99, WORDS
from keras_mtl.firmware_host.reference import ReferenceInterpreter
from keras_mtl.tflite.artifact import Port

_ARENA_TOTAL = re.compile(r"Arena allocation total (\d+) bytes")


def open_members(request: dict[str, Any]) -> dict[str, OpenMember]:
    """Opens the members of a request, as `request.make_request` makes it."""
    if request["engine"] == C99:
        return open_compiled(request)
    opened = {}
    for name, entry in request["members"].items():
        content = Path(request["folder"], entry["file"]).read_bytes()
        opened[name] = open_model(content, ports_of(entry["inputs"]), ports_of(entry["outputs"]), request)
    return opened


def open_model(
    content: bytes, inputs: tuple[Port, ...], outputs: tuple[Port, ...], request: dict[str, Any]
) -> OpenMember:
    """Opens a file on the request's `engine`; TensorFlow Lite Micro gives it the request's `arena_bytes`."""
    if request["engine"] == "tflm":
        return _on_tflm(content, inputs, outputs, request)
    if request["engine"] == "numpy":
        return OpenMember(ReferenceInterpreter(content).run, inputs, outputs)
    if request["engine"] == "tflite-runtime":
        from tflite_runtime.interpreter import Interpreter, OpResolverType
    else:
        from ai_edge_litert.interpreter import Interpreter, OpResolverType
    reference = request["engine"] == "litert-reference"
    kernels = OpResolverType.BUILTIN_REF if reference else OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    interpreter = Interpreter(model_content=content, num_threads=1, experimental_op_resolver_type=kernels)
    interpreter.allocate_tensors()
    sources = [port["index"] for port in interpreter.get_input_details()]
    results = [port["index"] for port in interpreter.get_output_details()]

    def invoke(arrays: list[np.ndarray]) -> list[np.ndarray]:
        for source, values in zip(sources, arrays, strict=True):
            interpreter.set_tensor(source, values)
        interpreter.invoke()
        return [interpreter.get_tensor(result) for result in results]

    return OpenMember(invoke, inputs, outputs)


def _on_tflm(
    content: bytes, inputs: tuple[Port, ...], outputs: tuple[Port, ...], request: dict[str, Any]
) -> OpenMember:
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
