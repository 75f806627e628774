"""The README's table of files: each with what it is, and what to do with it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from keras_mtl.core import Column, Table

#: Files by a pattern of their whole path, in the order of the table, and what is said of them.
_ROWS = (
    (r"manifest\.json", "sha256 and size of every file here, and where the model came from. Check it first."),
    (r"sbom\.cdx\.json", "Bill of materials (CycloneDX 1.6): what is here, and what a firmware links besides."),
    (r"CMakeLists\.txt", "Builds all this as a static library, and the self-test. Needs TFLM as you built it."),
    (
        r"model_data\..*",
        "The model as a C array in flash ({model_bytes} bytes, aligned to 16). Compile it into the firmware.",
    ),
    (
        r"model_resolver\.h",
        "The {operators} operators of this model, with typed registrations where TFLM has them, so that no other "
        "kernel is linked.",
    ),
    (
        r"model_settings\.h",
        "Macros: size of the arena, quantization of input and output, labels, feature settings. C and C++.",
    ),
    (
        r"models/.*_(data\.h|data\.cc|resolver\.h|settings\.h)",
        "The {members} networks: as arrays in flash, their operators, and macros of arena and quantization.",
    ),
    (r".*_networks\..*", "Start and run on TFLM, for C: the arenas and interpreters are in here."),
    (r"kmtl/kmtl_(network|tflm)\.h", "How networks are called from C, and one network on TFLM as a C++ class."),
    (
        r"kmtl/(kmtl_log_mel\..*|.*_log_mel_tables\..*)",
        "The log-mel front end and its tables. Portable C99; links CMSIS-DSP.",
    ),
    (
        r"listener\.[ch]",
        "Hears sound for as long as there is some: settings and a struct with all memory. Portable C99.",
    ),
    (r"listener_main\.cc", "An example: reads samples and prints what is heard. Leave it out of a release."),
    (
        r"kmtl/kmtl_(listener|embeddings|event_stream)\..*",
        "Samples in, scenes and events out: the loop, the ring of embeddings, the event decoder. Portable C99.",
    ),
    (r"kmtl/kmtl_cells\..*", "The driver of recurrent cells in both directions. Portable C99."),
    (
        r"kmtl/kmtl_event_decoder\..*",
        "Scores to events: median filter, threshold with hysteresis, begins and ends. Portable C99.",
    ),
    (r"kmtl/kmtl_scene_smoother\..*", "Logits to a scene that does not flicker. Portable C99."),
    (r"(selftest.*|kmtl/kmtl_selftest\..*)", "The self-test. Leave it out of a release."),
    (
        r"golden_vectors\..*",
        "The first {c_vectors} golden vectors as C arrays, for the self-test in flash. Leave them out of a release.",
    ),
    (
        r"golden_audio\.[ch]",
        "A made-up sound and what comes of it at every stage, as C arrays. Leave them out of a release.",
    ),
    (
        r"golden_reference.*\.bin",
        "What the network that was converted gives for the same inputs, before it became a file for an interpreter. "
        "For people; no device needs it.",
    ),
    (
        r"golden_(in|out)put.*\.bin",
        "All {vectors} golden vectors, little-endian, one after the other: inputs of {inputs}, and what TFLM {tflm} "
        "made of them on a PC ({outputs}).",
    ),
    (
        r"golden_.*\.bin",
        "The made-up sound, 16-bit, and what comes of it on TFLM {tflm}: levels in dB as 32-bit floats, the rest as "
        "the integers that they are. Little-endian.",
    ),
    (r".*\.tflite", "Models as files, for tools on a PC: the arrays byte for byte."),
    (r"artifact\.json", "The artifact's manifest, with the wiring."),
    (r"report\.json", "The emulator's report: checks, operators with their costs, engines."),
)


def file_table(files: Iterable[str], facts: Mapping[str, Any]) -> str:
    """The table of a bundle's files, in Markdown.

    Args:
        files: their paths; the manifest is added.
        facts: words of the descriptions, as `operators` and `tflm`.

    Raises:
        LookupError: a file that nothing is said of.
    """
    left, rows = {*files, "manifest.json"} - {"README.md"}, []
    for pattern, about in _ROWS:
        found = sorted(file for file in left if re.fullmatch(pattern, file))
        left -= set(found)
        if found:
            rows.append((", ".join(f"`{file}`" for file in found), about.format_map(facts)))
    if left:
        raise LookupError(f"the README has no words for {', '.join(sorted(left))}")
    return "\n".join(Table((Column("file", 0), Column("what it is, and what to do with it", 1)), rows).markdown())
