"""Runs a model on LiteRT, optimised or reference kernels. A worker: imported in a process of its own."""

from __future__ import annotations

from typing import Any

from keras_mtl.firmware_host.engines.exchange import Arrays, Opened, run_all

PACKAGE = "ai-edge-litert"


def work(request: dict[str, Any]) -> dict[str, Any]:
    """Runs the request's model on its inputs, by the kernels that the engine's name stands for."""
    return run_all(request, PACKAGE, open_model)


def open_model(content: bytes, request: dict[str, Any]) -> Opened:
    """Opens a model by the kernels that the request's engine stands for."""
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    optimised, reference = OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES, OpResolverType.BUILTIN_REF
    kernels = reference if request["engine"] == "litert-reference" else optimised
    return opened(Interpreter(model_content=content, num_threads=1, experimental_op_resolver_type=kernels))


def opened(interpreter: Any) -> Opened:
    """An interpreter of the TensorFlow Lite interface, ready to be invoked."""
    interpreter.allocate_tensors()
    sources = [port["index"] for port in interpreter.get_input_details()]
    results = [port["index"] for port in interpreter.get_output_details()]

    def invoke(arrays: Arrays) -> Arrays:
        for source, values in zip(sources, arrays, strict=True):
            interpreter.set_tensor(source, values)
        interpreter.invoke()
        return [interpreter.get_tensor(result) for result in results]

    return Opened(invoke)
