"""Runs a model on tflite-runtime. A worker: imported in a process of its own."""

from __future__ import annotations

from typing import Any

from keras_mtl.firmware_host.engines.exchange import Opened, run_all
from keras_mtl.firmware_host.engines.litert_worker import opened

PACKAGE = "tflite-runtime"


def work(request: dict[str, Any]) -> dict[str, Any]:
    """Runs the request's model on its inputs."""
    return run_all(request, PACKAGE, open_model)


def open_model(content: bytes, request: dict[str, Any]) -> Opened:
    """Opens a model by the optimised kernels."""
    from tflite_runtime.interpreter import Interpreter, OpResolverType

    kernels = OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    return opened(Interpreter(model_content=content, num_threads=1, experimental_op_resolver_type=kernels))
