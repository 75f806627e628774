"""The README of a bundle whose networks are plain C99."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from keras_mtl.firmware_host.bundle.golden import C_VECTORS, GoldenVectors
from keras_mtl.firmware_host.bundle.text.c_source import filled
from keras_mtl.firmware_host.bundle.text.networks import Network
from keras_mtl.firmware_host.bundle.text.readme import ROWS, file_table, ports_text
from keras_mtl.firmware_host.report import Report
from keras_mtl.tflite.artifact import Artifact

#: Files that only such a bundle has, or that are something else in it.
_OWN_ROWS = (
    (r"CMakeLists\.txt", "Builds all this as a static library, and the self-test. Needs a C compiler alone."),
    (r"Makefile", "The same by make, with any compiler: `make CC=arm-none-eabi-gcc`."),
    (r".*_networks\..*", "Run a network by its number. The memory that they compute in is in here."),
    (r"(models/)?\w+_network\.[ch]", "A network: its weights as constants, and the calls of its layers. Portable C99."),
    (r"(models/)?\w+_settings\.h", "Macros: types, shapes, quantization of inputs and outputs, labels, features."),
    (r"kmtl/kmtl_nn.*", "The kernels of the layers, with variants for cores chosen by predefined macros. C99."),
    (r"kmtl/kmtl_network\.h", "How networks are called from C."),
)


def plain_readme(
    name: str,
    artifact: Artifact,
    report: Report,
    networks: Sequence[Network],
    vectors: GoldenVectors | None,
    facts: Mapping[str, Any],
    stages: Sequence[str],
    files: Iterable[str],
) -> str:
    """The text of README.md, of the same arguments as `readme`."""
    files, streams = set(files), artifact.streams
    of_files: dict[str, Any] = {
        "tflm": next(engine.version for engine in report.engines if engine.engine == "tflm"),
        "vectors": len(vectors) if vectors else 0,
        "c_vectors": min(C_VECTORS, len(vectors)) if vectors else 0,
        "inputs": ports_text(networks[0].member.inputs),
        "outputs": ports_text(networks[0].member.outputs),
    }
    checks = "\n".join(
        f"| {check.name} | {'-' if check.value is None else f'{check.value:,}'} | {check.limit:,} | {check.unit} | "
        f"{check.why} |"
        for check in report.checks
    )
    words = {
        "name": name,
        "NAME": name.upper(),
        "target": report.target["name"],
        "description": report.target.get("description", ""),
        "part": artifact.facts.part,
        "system": artifact.facts.get("system") or "unknown",
        "sha256": report.artifact["sha256"],
        "memory": f"{facts['memory_bytes']:,}",
        "latency": ", ".join(f"{task} {value:g} s" for task, value in artifact.manifest.get("latency_s", {}).items()),
        "stages": ", ".join(stages),
    }
    use = filled(f"README_c99_{'stream' if streams else 'model'}.md.in", **words).rstrip("\n")
    table = file_table(files, of_files, (*_OWN_ROWS, *ROWS))
    return filled("README_c99.md.in", **words, use=use, table=table, checks=checks)
