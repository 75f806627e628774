"""The operators of integer networks in NumPy, equal to TensorFlow Lite Micro's reference kernels to the bit.

What they compute is written down as the contracts `int8.v1` and `int16x8.v1` in `docs/runtime.md`.
"""

from typing import TYPE_CHECKING

from keras_mtl.core.lazy import lazy

if TYPE_CHECKING:
    from keras_mtl.firmware_host.reference.arithmetic import Multipliers, multipliers, requantize32, requantize64
    from keras_mtl.firmware_host.reference.interpreter import Graph, ReferenceInterpreter, Step
    from keras_mtl.firmware_host.reference.node import Node, Tensor
    from keras_mtl.firmware_host.reference.registry import CONTRACTS, OPERATORS, Kernel, prepare
else:
    __getattr__, __dir__ = lazy(__name__)

__all__ = [
    "CONTRACTS", "OPERATORS", "Graph", "Kernel", "Multipliers", "Node", "ReferenceInterpreter", "Step", "Tensor",
    "multipliers", "prepare", "requantize32", "requantize64",
]  # fmt: skip
