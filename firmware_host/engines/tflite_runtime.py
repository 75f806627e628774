"""Opens files on tflite-runtime. Imported in a worker's process."""

from __future__ import annotations

from typing import Any

from keras_mtl.firmware_host.device import OpenMember
from keras_mtl.firmware_host.engines.litert import opened
from keras_mtl.tflite.artifact import Port

PACKAGE = "tflite-runtime"


def open_model(
    content: bytes, inputs: tuple[Port, ...], outputs: tuple[Port, ...], request: dict[str, Any]
) -> OpenMember:
    """Opens a file by the optimised kernels."""
    from tflite_runtime.interpreter import Interpreter, OpResolverType

    kernels = OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    interpreter = Interpreter(model_content=content, num_threads=1, experimental_op_resolver_type=kernels)
    return opened(interpreter, inputs, outputs)
