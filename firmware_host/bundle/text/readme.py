"""The bundle's `README.md` and `CMakeLists.txt`: what to do with each file, in which order, and how to build them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from keras_mtl.core import Column, Table
from keras_mtl.firmware_host.bundle.golden import C_VECTORS, GoldenVectors
from keras_mtl.firmware_host.bundle.text.c_source import filled
from keras_mtl.firmware_host.bundle.text.computing import computing_section, turn_words
from keras_mtl.firmware_host.bundle.text.listener_source import EXAMPLE
from keras_mtl.firmware_host.bundle.text.networks import Network
from keras_mtl.firmware_host.bundle.text.resolver import registrations
from keras_mtl.firmware_host.bundle.text.tflm_build import tflm_section
from keras_mtl.firmware_host.report import Report
from keras_mtl.tflite.artifact import UNKNOWN, Artifact, Port

#: What the C++ around TensorFlow Lite Micro is compiled with: the macros that its BUILD_TYPE=release sets and that its
#: headers ask for.
TFLM_DEFINITIONS = ("TF_LITE_STATIC_MEMORY", "TF_LITE_STRIP_ERROR_STRINGS")
_TEST_ONLY = ("selftest.c", "golden_audio.c", "golden_vectors.c", "kmtl/kmtl_selftest.c")
_PROGRAM = "selftest_main.c"
_LISTEN = """
# An example: predicts from samples of standard input.
add_executable({name}_listen {file})
target_link_libraries({name}_listen PRIVATE {name})
set_target_properties({name}_listen PROPERTIES C_STANDARD 99 LINKER_LANGUAGE CXX)"""
_MAKE_LISTEN = """
build/{name}_listen: $(SOURCES) {file}
	@mkdir -p build
	$(CC) $(NEEDED) $(CFLAGS) $^ $(LDFLAGS) -lm -o $@
"""
_OTHERS = (
    "**Feed the inputs.** What they are and how often the network runs is not known of a file that keras_mtl did not\n"
    "   make; types, shapes and quantization stand in `model_settings.h`."
)
_FRAMES = "**Feed features.** {} Frames come first, then mel bands."
_REAL = "`real = OUTPUT_SCALE * (integer - OUTPUT_ZERO_POINT)`"
_LABELS = "; the labels stand in `model_settings.h` in the\n   output's order"
_FRONT_END = (
    "`kmtl/kmtl_log_mel.h` is the front end: samples in, a frame of log-mel out each hop; its header has the loop.\n"
    "   `INPUT_PER_DB` and `INPUT_AT_0_DB` of the settings turn dB into the input's integers in one step. On\n"
    "   Arm cores without a floating-point unit it works in integers; `KMTL_LOG_MEL_FIXED` says 0 or 1 instead, for\n"
    "   all files alike."
)
_NO_FRONT_END = (
    "There is no front end in this bundle, for the model's features are not known, or are some\n"
    "   that it has no FFT for (it has powers of two from 32 to 4096). Compute them exactly by the settings."
)
_SMOOTHING = (
    " `kmtl/kmtl_scene_smoother.h` makes a scene of the logits that does not flicker;\n"
    "   `SCENE_WEIGHT` and `SCENE_HOLD` are those of the recipe."
)
_TURNS = (
    " The event decoder is\n"
    "   bidirectional: every {hop} steps ({hop_s} s) it begins to go over {ring} embeddings, {cells} cells with each\n"
    "   step, so that events are known up to {spread_s} s later (`NAME_CELL_STEPS` of `listener.h`, when it is\n"
    "   compiled: more cells for earlier events and a longer push). {work}"
)
_CELLS = (
    " Scores behind the recurrent cells may: these\n"
    "carry on what one operator rounds otherwise, and SUB of 16 bits does so in TFLM of August 2026. How far they are\n"
    "apart is printed; more than `KMTL_SELFTEST_CELL_STEPS` fails."
)
#: Files by a pattern of their whole path, in the order of the table, with their descriptions.
ROWS = (
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
        r"kmtl/(kmtl_log_mel(_fixed|_float)?\..*|.*_log_mel_tables\..*)",
        "The log-mel front end and its tables. Portable C99, with DSP instructions where the core has them.",
    ),
    (
        r"listener\.[ch]",
        "Predicts while samples come: settings and a struct with all memory. Portable C99.",
    ),
    (r"listener_main\.c", "An example: reads samples and prints scenes and events. Leave it out of a release."),
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
        "The made-up sound, 16-bit, and what comes of it on TFLM {tflm}: log-mel in dB as 32-bit floats, the rest as "
        "the integers that they are. Little-endian.",
    ),
    (r".*\.tflite", "Models as files, for tools on a PC: the arrays byte for byte."),
    (r"artifact\.json", "The artifact's manifest, with the wiring."),
    (r"report\.json", "The emulator's report: checks, operators with their costs, engines."),
)


def readme(
    name: str,
    artifact: Artifact,
    report: Report,
    networks: Sequence[Network],
    vectors: GoldenVectors | None,
    facts: Mapping[str, Any],
    stages: Sequence[str],
    files: Iterable[str],
) -> str:
    """The text of README.md.

    `vectors`: golden vectors; None of a streaming artifact. `facts`: `arena_bytes`, and of a streaming artifact
    `arenas` and `buffers`, bytes by name.
    """
    files = set(files)
    front_end = "golden_audio.c" in files
    words = common_words(name, artifact, report) | {"arena": f"{facts['arena_bytes']:,}"}
    of_files = file_facts(report, vectors, networks)
    if vectors is None:
        words |= _of_stream(artifact, facts, report)
        of_files["members"] = len(networks)
        about, steps, basis, listed, note = _sections("README_stream.md.in", words)
        own = {"networks": f"\n{listed}\n", "note": f"\n{note}\n", "resolvers": "resolvers'"}
    else:
        (network,) = networks
        words |= {"measured": f"{network.arena_bytes:,}", "tolerance": report.target["parity_lsb"]}
        words |= _of_file(artifact, network, front_end, "kmtl/kmtl_scene_smoother.c" in files)
        of_files |= {
            "operators": len(registrations(network.member.model)),
            "model_bytes": f"{report.artifact['file_bytes']:,}",
        }
        about, steps, basis = _sections("README_model.md.in", words)
        own = {"networks": "", "note": "", "resolvers": "resolver's"}
    return filled(
        "README.md.in",
        **own,
        name=name,
        target=words["target"],
        about=about,
        steps=steps,
        basis=basis,
        table=file_table(files, of_files),
        checks=checks_rows(report),
        build=_build(name, stages),
        tflm=tflm_section(report.target),
        computing=computing_section(name, report, front_end),
    )


def _of_file(artifact: Artifact, network: Network, front_end: bool, smoothed: bool) -> dict[str, str]:
    """Words for the sections of one file's own, by what is known about it."""
    known, others = artifact.facts, artifact.facts.part == UNKNOWN
    scaled = any(port.scale is not None for port in network.member.outputs)
    features = _FRAMES.format(_FRONT_END if front_end else _NO_FRONT_END)
    made = f"part `{known.part}` of system `{known.get('system') or 'unknown'}`"
    return {
        "origin": "of a file that keras_mtl did not make" if others else made,
        "features": _OTHERS if others and not front_end else features,
        "reading": (_REAL if scaled else "it is real as it is") + (_LABELS if known.labels.to_dict() else ""),
        "smoothing": _SMOOTHING if smoothed else "",
    }


def _of_stream(artifact: Artifact, facts: Mapping[str, Any], report: Report) -> dict[str, str]:
    """Words for a streaming artifact's own sections."""
    calls = artifact.manifest["calls_per_second"]
    members = [
        f"| `{name}` | {len(member.content):,} | {facts['arenas'][name]:,} | {calls[name]:g} |"
        for name, member in artifact.members.items()
    ]
    return {
        "members": "\n".join(members),
        "arenas": f"{sum(facts['arenas'].values()):,}",
        "buffers": f"{sum(facts['buffers'].values()):,}",
        "scratch": f"{facts['buffers']['scratch']:,}",
        "turns": turns(artifact, report),
        "latency": ", ".join(f"{task} {value:g} s" for task, value in artifact.manifest["latency_s"].items()),
    }


def turns(artifact: Artifact, report: Report) -> str:
    """Words on the passes of an event decoder of both directions; none without one."""
    return _TURNS.format(**turn_words(artifact, report.compute)) if artifact.wiring.event_ring else ""


def common_words(name: str, artifact: Artifact, report: Report) -> dict[str, Any]:
    """What the README of any bundle says of it."""
    return {
        "name": name,
        "NAME": name.upper(),
        "target": report.target["name"],
        "description": report.target.get("description", ""),
        "part": artifact.facts.part,
        "system": artifact.facts.get("system") or "unknown",
        "sha256": report.artifact["sha256"],
    }


def file_facts(report: Report, vectors: GoldenVectors | None, networks: Sequence[Network]) -> dict[str, Any]:
    """What descriptions of files tell of golden data, see `file_table`."""
    member = networks[0].member
    return {
        "tflm": next(engine.version for engine in report.engines if engine.engine == "tflm"),
        "vectors": len(vectors) if vectors else 0,
        "c_vectors": min(C_VECTORS, len(vectors)) if vectors else 0,
        "inputs": ports_text(member.inputs),
        "outputs": ports_text(member.outputs),
    }


def checks_rows(report: Report) -> str:
    """The rows of the table of checks."""
    return "\n".join(
        f"| {check.name} | {'-' if check.value is None else f'{check.value:,}'} | {check.limit:,} | {check.unit} | "
        f"{check.why} |"
        for check in report.checks
    )


def _sections(template: str, words: Mapping[str, Any]) -> list[str]:
    """Sections of one kind of bundle: about, steps, what the checks rest on, and others."""
    return filled(template, **words).rstrip("\n").split("\n%%\n")


def _build(name: str, stages: Sequence[str]) -> str:
    listed = ", ".join(stages[:-1]) + (" and " if len(stages) > 1 else "") + stages[-1]
    cells = _CELLS if "decoder" in stages else ""
    return filled(
        "README_build.md.in",
        cells=cells,
        name=name,
        stages=listed,
        tflm_definitions=" and ".join(f"`{each}`" for each in TFLM_DEFINITIONS),
    ).rstrip("\n")


def ports_text(ports: Sequence[Port]) -> str:
    """Types and shapes of inputs or outputs."""
    return ", ".join(f"{port.dtype} {'x'.join(map(str, port.shape))}" for port in ports)


def file_table(files: Iterable[str], facts: Mapping[str, Any], rows_of_files: Sequence[tuple[str, str]] = ROWS) -> str:
    """The table of a bundle's files, in Markdown.

    `facts`: words of the descriptions, as `operators` and `tflm`. `rows_of_files`: as `ROWS`.

    Raises:
        LookupError: a file without a description.
    """
    left, rows = {*files, "manifest.json"} - {"README.md"}, []
    for pattern, about in rows_of_files:
        found = sorted(file for file in left if re.fullmatch(pattern, file))
        left -= set(found)
        if found:
            rows.append((", ".join(f"`{file}`" for file in found), about.format_map(facts)))
    if left:
        raise LookupError(f"the README does not describe {', '.join(sorted(left))}")
    return "\n".join(Table((Column("file", 0), Column("what it is, and what to do with it", 1)), rows).markdown())


def cmake_text(name: str, files: Iterable[str], plain: bool = False) -> str:
    """The text of `CMakeLists.txt`. `plain`: the networks are C99, and nothing else is linked."""
    files = set(files)
    sources = sorted(file for file in files if file.endswith((".c", ".cc")) and file not in (_PROGRAM, EXAMPLE))
    groups = {
        "networks": [file for file in sources if file.endswith(".cc")],
        "portable": [file for file in sources if file.endswith(".c") and file not in _TEST_ONLY],
        "test": [file for file in sources if file in _TEST_ONLY],
    }
    words = {group: "\n".join(f"  {file}" for file in listed) for group, listed in groups.items()}
    words["tflm_definitions"] = ";".join(TFLM_DEFINITIONS)
    listen = _LISTEN.replace(" LINKER_LANGUAGE CXX", "") if plain else _LISTEN
    words["programs"] = listen.format(file=EXAMPLE, name=name) if EXAMPLE in files else ""
    return filled(f"{'CMakeC99' if plain else 'CMakeLists'}.txt.in", name=name, **words)


def make_text(name: str, files: Iterable[str]) -> str:
    """The text of the `Makefile` of a bundle whose networks are C99."""
    sources = sorted(file for file in files if file.endswith(".c") and file not in (_PROGRAM, EXAMPLE))
    groups = {"portable": [f for f in sources if f not in _TEST_ONLY], "test": [f for f in sources if f in _TEST_ONLY]}
    words = {group: " \\\n  ".join(listed) for group, listed in groups.items()}
    listens = EXAMPLE in files
    return filled(
        "MakeC99.in",
        name=name,
        **words,
        and_listen=f", and the example: build/{name}_listen" if listens else "",
        listen=_MAKE_LISTEN.format(name=name, file=EXAMPLE) if listens else "",
    )
