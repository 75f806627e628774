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

from keras_mtl.firmware_host.engines.runner import ENGINES, EngineRun, run_engine

__all__ = ["ENGINES", "EngineRun", "run_engine"]
