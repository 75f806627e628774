"""The kernel library of a firmware: its family, the versions that it may be, and what of it a core compiles."""

from __future__ import annotations

from dataclasses import dataclass

#: Versions whose scratch memory is known, the oldest first. A version stands for what followed it until the next as
#: well: CMSIS-NN 7.0 for all up to July 2026, ESP-NN 1.1 for 1.0 to 1.2.0, and 1.2.1 for 1.2.2.
KERNEL_VERSIONS: dict[str, tuple[str, ...]] = {
    "cmsis-nn": ("4.0", "4.1", "5.0", "6.0", "7.0"),
    "esp-nn": ("1.1", "1.2.1", "1.2.3"),
    "reference": (),
}
#: How a kernel library may be built, as far as it is known what that costs (`compute.cycle_rates`): optimised for speed
#: or for size, both with NDEBUG; or as Arduino's library manager builds it for a board, for size.
KERNEL_BUILDS = ("-O2", "-Os", "arduino")
#: What each core compiles of CMSIS-NN: plain C, with DSP instructions, or with the vector instructions of Helium.
_CMSIS_NN = {
    "c": ("cortex-m0", "cortex-m0plus", "cortex-m1", "cortex-m3", "cortex-m23"),
    "dsp": ("cortex-m4", "cortex-m7", "cortex-m33", "cortex-m35p"),
    "mve": ("cortex-m52", "cortex-m55", "cortex-m85"),
}
#: The vector instructions of ESP-NN's kernels are the ESP32-S3's; the ESP32-S2 has the same core without them.
_ESP_NN = {"esp32s3": ("xtensa-lx7",), "generic": ("xtensa-lx6",)}


@dataclass(frozen=True)
class KernelBuild:
    """One build of a kernel library.

    Attributes:
        family: "cmsis-nn", "esp-nn" or "reference".
        version: its numbers; () of the reference kernels.
        variant: "c", "dsp" or "mve" of CMSIS-NN, "esp32s3" or "generic" of ESP-NN, "" of the reference kernels.
    """

    family: str = "reference"
    version: tuple[int, ...] = ()
    variant: str = ""


#: TensorFlow Lite Micro's own kernels.
REFERENCE = KernelBuild()


def kernel_builds(family: str, version: str | None, core: str | None) -> tuple[KernelBuild, ...]:
    """The builds that a firmware may have: one where version and core are known, else all that they leave open.

    A core that is not known may compile any variant.
    """
    if family == "reference":
        return (REFERENCE,)
    variants = _CMSIS_NN if family == "cmsis-nn" else _ESP_NN
    name = str(core).lower()
    compiled = [variant for variant, cores in variants.items() if name in cores] or list(variants)
    versions = KERNEL_VERSIONS[family] if version is None else (version,)
    numbers = [tuple(int(part) for part in each.split(".")) for each in versions]
    return tuple(KernelBuild(family, number, variant) for number in numbers for variant in compiled)


def library_words(text: str) -> dict[str, str]:
    """The parts of a library's name as "cmsis-nn 7.0 -O2": `kernels`, `kernels_version`, `kernels_build`; if named.

    What is neither a number nor known as a build is given as the version, which is then refused by name.
    """
    family, *rest = text.split() or [text]
    found = {"kernels": family}
    for word in rest:
        key = "kernels_build" if word in KERNEL_BUILDS or word.startswith("-") else "kernels_version"
        found[key] = f"{found[key]} {word}" if key in found else word
    return found
