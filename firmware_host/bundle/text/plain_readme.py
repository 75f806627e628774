"""The README of a bundle whose networks are plain C99."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from keras_mtl.firmware_host.bundle.golden import GoldenVectors
from keras_mtl.firmware_host.bundle.text.c_source import filled
from keras_mtl.firmware_host.bundle.text.networks import Network
from keras_mtl.firmware_host.bundle.text.readme import ROWS, checks_rows, common_words, file_facts, file_table, turns
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
    words = common_words(name, artifact, report) | {
        "memory": f"{facts['memory_bytes']:,}",
        "latency": ", ".join(f"{task} {value:g} s" for task, value in artifact.manifest.get("latency_s", {}).items()),
        "stages": ", ".join(stages),
    }
    if streams:
        words["turns"] = turns(artifact, report)
    use = filled(f"README_c99_{'stream' if streams else 'model'}.md.in", **words).rstrip("\n")
    table = file_table(files, file_facts(report, vectors, networks), (*_OWN_ROWS, *ROWS))
    return filled("README_c99.md.in", **words, use=use, table=table, checks=checks_rows(report))
