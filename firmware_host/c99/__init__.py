"""Networks as plain C99, without an interpreter: from a `.tflite` file to calls of kernels that lie beside them."""

from typing import TYPE_CHECKING

from keras_mtl.core.lazy import lazy

if TYPE_CHECKING:
    from keras_mtl.firmware_host.c99.library import kernel_texts
    from keras_mtl.firmware_host.c99.networks import CNetwork, c_networks, memory_bytes, networks_texts
    from keras_mtl.firmware_host.c99.sizes import code_bytes, constant_bytes
    from keras_mtl.firmware_host.c99.text import extern_c, header, identifier, opening, real, string, values
else:
    __getattr__, __dir__ = lazy(__name__)

__all__ = [
    "CNetwork", "c_networks", "code_bytes", "constant_bytes", "extern_c", "header", "identifier", "kernel_texts",
    "memory_bytes", "networks_texts", "opening", "real", "string", "values",
]  # fmt: skip
