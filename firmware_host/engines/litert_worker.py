"""Runs a model on LiteRT, optimised or reference kernels. A worker: imported in a process of its own."""

from __future__ import annotations

from typing import Any

from keras_mtl.firmware_host.engines.exchange import Arrays, run_all


def work(request: dict[str, Any]) -> dict[str, Any]:
    """Runs the request's model on its inputs, by the kernels that the engine's name stands for."""

    def run(content: bytes, inputs: list[Arrays]) -> tuple[list[Arrays], None]:
        from ai_edge_litert.interpreter import Interpreter, OpResolverType

        optimised, reference = OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES, OpResolverType.BUILTIN_REF
        kernels = reference if request["engine"] == "litert-reference" else optimised
        interpreter = Interpreter(model_content=content, num_threads=1, experimental_op_resolver_type=kernels)
        return invoke_each(interpreter, inputs), None

    return run_all(request, "ai-edge-litert", run)


def invoke_each(interpreter: Any, inputs: list[Arrays]) -> list[Arrays]:
    """Runs an interpreter of the TensorFlow Lite interface once for every set of inputs."""
    interpreter.allocate_tensors()
    sources = [port["index"] for port in interpreter.get_input_details()]
    results = [port["index"] for port in interpreter.get_output_details()]
    outputs = []
    for arrays in inputs:
        for source, values in zip(sources, arrays, strict=True):
            interpreter.set_tensor(source, values)
        interpreter.invoke()
        outputs.append([interpreter.get_tensor(result) for result in results])
    return outputs
