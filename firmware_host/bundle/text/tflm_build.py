"""How to build TensorFlow Lite Micro for a bundle: commits that fit each other, its make command, and the float ABI.

The commit is the one that this project's tables are of (`compute/operator_tables.py`). What it downloads besides is
listed in its own `third_party_downloads.inc` and `ext_libs/`, the cores in `targets/cortex_m_generic_makefile.inc`.
"""

from __future__ import annotations

from typing import Any

from keras_mtl.firmware_host.bundle.text.c_source import filled

TFLM_COMMIT = "90b983c2b3f1480642e040bbd2ddb37b998f3424"
#: Of a core: TFLM's TARGET_ARCH, and the flags that everything linked with such a library needs.
_CORES = {
    "cortex-m0": ("cortex-m0", "-mcpu=cortex-m0 -mfloat-abi=soft"),
    "cortex-m0plus": ("cortex-m0plus", "-mcpu=cortex-m0plus -mfloat-abi=soft"),
    "cortex-m3": ("cortex-m3", "-mcpu=cortex-m3 -mfloat-abi=soft"),
    "cortex-m4": ("cortex-m4+fp", "-mcpu=cortex-m4 -mfpu=auto -mfloat-abi=hard"),
    "cortex-m7": ("cortex-m7+fp", "-mcpu=cortex-m7 -mfpu=auto -mfloat-abi=hard"),
    "cortex-m33": ("cortex-m33", "-mcpu=cortex-m33 -mfpu=auto -mfloat-abi=hard"),
    "cortex-m55": ("cortex-m55", "-mcpu=cortex-m55 -mfpu=auto -mfloat-abi=hard"),
    "cortex-m85": ("cortex-m85", "-mcpu=cortex-m85 -mfpu=auto -mfloat-abi=hard"),
}
_OTHER_NAMES = {"cortex-m0+": "cortex-m0plus", "cortex-m4f": "cortex-m4"}
_KERNELS = {"cmsis-nn": " OPTIMIZED_KERNEL_DIR=cmsis_nn"}
_FOLDERS = {"cmsis-nn": "_cmsis_nn"}


def tflm_section(target: dict[str, Any]) -> str:
    """The section of a README with the commands, for the board's core where TFLM's makefile has it, and for a PC."""
    core = str(target.get("core", "")).lower()
    arch, flags = _CORES.get(_OTHER_NAMES.get(core, core), ("", ""))
    kernels = str(target.get("kernels"))
    words = {
        "commit": TFLM_COMMIT,
        "arch": arch,
        "flags": f"{flags} -mthumb",
        "kernels": _KERNELS.get(kernels, ""),
        "folder": f"cortex_m_generic_{arch}_release{_FOLDERS.get(kernels, '')}_gcc",
        "core": target.get("core", ""),
    }
    pc, device, other, rest, abi = filled("README_tflm.md.in", **words).rstrip("\n").split("\n%%\n")
    return "\n".join([pc, device, rest, abi] if arch else [pc, other, rest])
