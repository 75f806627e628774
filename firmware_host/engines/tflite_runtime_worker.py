"""Runs a model on tflite-runtime. A worker: imported in a process of its own."""

from __future__ import annotations

from typing import Any

from keras_mtl.firmware_host.engines.exchange import Arrays, run_all
from keras_mtl.firmware_host.engines.litert_worker import invoke_each


def work(request: dict[str, Any]) -> dict[str, Any]:
    """Runs the request's model on its inputs."""

    def run(content: bytes, inputs: list[Arrays]) -> tuple[list[Arrays], None]:
        from tflite_runtime.interpreter import Interpreter, OpResolverType

        kernels = OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
        interpreter = Interpreter(model_content=content, num_threads=1, experimental_op_resolver_type=kernels)
        return invoke_each(interpreter, inputs), None

    return run_all(request, "tflite-runtime", run)
