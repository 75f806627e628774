"""The engines that an artifact is run on, each in a process of its own.

| name | what it is |
|---|---|
| `tflm` | TensorFlow Lite Micro, the interpreter of the firmware; it also measures the arena |
| `litert` | LiteRT with its optimised kernels |
| `litert-reference` | LiteRT with its reference kernels |
| `tflite-runtime` | the last TensorFlow Lite runtime package (2023): a check of compatibility, not the oracle |
| `numpy` | `firmware_host.reference`, of integer files equal to `tflm` to the bit, and slow: where it is asked for |
| `c99` | none: the C that `bundle --runtime c99` writes, compiled by this machine's compiler; by its name alone |

LiteRT and tflite-runtime run without their default delegate: XNNPACK requantizes in floating point, which moves int8
results by one LSB, and which of its kernels run depends on the host's processor.
"""

from typing import TYPE_CHECKING

from keras_mtl.core.lazy import lazy

if TYPE_CHECKING:
    from keras_mtl.firmware_host.engines.exchange import C99, clear_refusals, package_version
    from keras_mtl.firmware_host.engines.interpreters import open_members
    from keras_mtl.firmware_host.engines.live import LiveSession, Update
    from keras_mtl.firmware_host.engines.request import ENGINES, make_request, run_worker
    from keras_mtl.firmware_host.engines.runner import EngineRun, run
else:
    __getattr__, __dir__ = lazy(__name__)

__all__ = [
    "C99", "ENGINES", "EngineRun", "LiveSession", "Update", "clear_refusals", "make_request", "open_members",
    "package_version", "run", "run_worker",
]  # fmt: skip
