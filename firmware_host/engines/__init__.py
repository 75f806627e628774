"""The interpreters that an artifact is run on, each in a process of its own.

| name | what it is |
|---|---|
| `tflm` | TensorFlow Lite Micro, the interpreter of the firmware; it also measures the arena |
| `litert` | LiteRT with its optimised kernels |
| `litert-reference` | LiteRT with its reference kernels |
| `tflite-runtime` | the last TensorFlow Lite runtime package (2023): a check of compatibility, not the oracle |

LiteRT and tflite-runtime run without their default delegate: XNNPACK requantizes in floating point, which moves int8
results by one LSB, and which of its kernels run depends on the host's processor.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from keras_mtl.firmware_host.engines.live import LiveSession, Update
    from keras_mtl.firmware_host.engines.request import ENGINES
    from keras_mtl.firmware_host.engines.runner import EngineRun, run

__all__ = ["ENGINES", "EngineRun", "LiveSession", "Update", "run"]

_HOME = {"ENGINES": "request", "EngineRun": "runner", "LiveSession": "live", "Update": "live", "run": "runner"}


def __getattr__(name: str) -> Any:
    # Lazily: the workers, which lie in this package, need none of it.
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
