"""Runs a model on LiteRT, optimised or reference kernels. A worker: imported in a process of its own."""

from __future__ import annotations

from typing import Any

import numpy as np

from keras_mtl.firmware_host.engines.exchange import run_all


def work(request: dict[str, Any]) -> dict[str, Any]:
    """Runs the request's model on its inputs, by the kernels that the engine's name stands for."""

    def run(content: bytes, inputs: np.ndarray) -> tuple[list[np.ndarray], None]:
        from ai_edge_litert.interpreter import Interpreter, OpResolverType

        optimised, reference = OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES, OpResolverType.BUILTIN_REF
        kernels = reference if request["engine"] == "litert-reference" else optimised
        interpreter = Interpreter(model_content=content, num_threads=1, experimental_op_resolver_type=kernels)
        return invoke_each(interpreter, inputs), None

    return run_all(request, "ai-edge-litert", run)


def invoke_each(interpreter: Any, inputs: np.ndarray) -> list[np.ndarray]:
    """Runs an interpreter of the TensorFlow Lite interface once for every input."""
    interpreter.allocate_tensors()
    source, result = interpreter.get_input_details()[0]["index"], interpreter.get_output_details()[0]["index"]
    outputs = []
    for values in inputs:
        interpreter.set_tensor(source, values)
        interpreter.invoke()
        outputs.append(interpreter.get_tensor(result))
    return outputs
