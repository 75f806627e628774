"""How C names the types of tensors. The same on a device as in what is reckoned for it."""

from __future__ import annotations

#: By the types' names in manifests and NumPy.
C_TYPES = {
    "int8": "int8_t",
    "uint8": "uint8_t",
    "int16": "int16_t",
    "int32": "int32_t",
    "float32": "float",
}
