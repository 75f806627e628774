"""Operators of a file: their cost, an estimate of instructions, and what runtimes lack of them."""

from typing import TYPE_CHECKING

from keras_mtl.core.lazy import lazy

if TYPE_CHECKING:
    from keras_mtl.firmware_host.compute.code_size import code_parts
    from keras_mtl.firmware_host.compute.cost import OpRow, activation_bytes_per_second, op_rows, uncounted
    from keras_mtl.firmware_host.compute.estimates import compute_notes, estimate, overload
    from keras_mtl.firmware_host.compute.lacking import Finding, compatibility, tflm_blocks
    from keras_mtl.firmware_host.compute.operator_tables import RESOLVER_METHODS, WRONG_SUMS
else:
    __getattr__, __dir__ = lazy(__name__)

__all__ = [
    "RESOLVER_METHODS", "WRONG_SUMS", "Finding", "OpRow", "activation_bytes_per_second", "code_parts",
    "compatibility", "compute_notes", "estimate", "op_rows", "overload", "tflm_blocks", "uncounted",
]  # fmt: skip
