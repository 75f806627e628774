"""Operators of a file: their cost, an estimate of instructions and cycles, and what runtimes lack of them."""

from typing import TYPE_CHECKING

from keras_mtl.core.lazy import lazy

if TYPE_CHECKING:
    from keras_mtl.firmware_host.compute.around import around_networks, front_end_path
    from keras_mtl.firmware_host.compute.burst import Burst, longest_burst
    from keras_mtl.firmware_host.compute.code_size import code_parts
    from keras_mtl.firmware_host.compute.cost import OpRow, activation_bytes_per_second, op_rows, uncounted
    from keras_mtl.firmware_host.compute.energy import Battery, energy_of
    from keras_mtl.firmware_host.compute.estimates import estimate
    from keras_mtl.firmware_host.compute.lacking import Finding, compatibility, tflm_blocks
    from keras_mtl.firmware_host.compute.operator_tables import RESOLVER_METHODS, WRONG_SUMS
    from keras_mtl.firmware_host.compute.remedies import WIDTHS, remedies_for
else:
    __getattr__, __dir__ = lazy(__name__)

__all__ = [
    "RESOLVER_METHODS", "WIDTHS", "WRONG_SUMS", "Battery", "Burst", "Finding", "OpRow", "activation_bytes_per_second",
    "around_networks", "code_parts", "compatibility", "energy_of", "estimate", "front_end_path", "longest_burst",
    "op_rows", "remedies_for", "tflm_blocks", "uncounted",
]  # fmt: skip
