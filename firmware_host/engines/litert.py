"""Opens files on LiteRT, by its optimised or its reference kernels. Imported in a worker's process."""

from __future__ import annotations

from typing import Any

import numpy as np

from keras_mtl.firmware_host.device import OpenMember
from keras_mtl.tflite.artifact import Port

PACKAGE = "ai-edge-litert"


def open_model(
    content: bytes, inputs: tuple[Port, ...], outputs: tuple[Port, ...], request: dict[str, Any]
) -> OpenMember:
    """Opens a file by the kernels that the request's `engine` stands for."""
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    optimised, reference = OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES, OpResolverType.BUILTIN_REF
    kernels = reference if request["engine"] == "litert-reference" else optimised
    interpreter = Interpreter(model_content=content, num_threads=1, experimental_op_resolver_type=kernels)
    return opened(interpreter, inputs, outputs)


def opened(interpreter: Any, inputs: tuple[Port, ...], outputs: tuple[Port, ...]) -> OpenMember:
    """A file in an interpreter of the TensorFlow Lite interface."""
    interpreter.allocate_tensors()
    sources = [port["index"] for port in interpreter.get_input_details()]
    results = [port["index"] for port in interpreter.get_output_details()]

    def invoke(arrays: list[np.ndarray]) -> list[np.ndarray]:
        for source, values in zip(sources, arrays, strict=True):
            interpreter.set_tensor(source, values)
        interpreter.invoke()
        return [interpreter.get_tensor(result) for result in results]

    return OpenMember(invoke, inputs, outputs)
