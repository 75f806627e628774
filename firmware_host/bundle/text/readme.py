"""The bundle's README: what a firmware engineer does with each file, and in which order."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from keras_mtl.firmware_host.bundle.golden import C_VECTORS, GoldenVectors
from keras_mtl.firmware_host.bundle.source import filled
from keras_mtl.firmware_host.bundle.text.build_files import TFLM_DEFINITIONS
from keras_mtl.firmware_host.bundle.text.networks import Network
from keras_mtl.firmware_host.bundle.text.readme_table import file_table
from keras_mtl.firmware_host.bundle.text.resolver import registrations
from keras_mtl.firmware_host.report import Report
from keras_mtl.tflite.artifact import Artifact, Port

_FRONT_END = (
    "`kmtl/kmtl_log_mel.h` is the front end: samples in, a frame of levels out each hop; its header shows the loop.\n"
    "   `INPUT_PER_DB` and `INPUT_AT_0_DB` of the settings turn levels into the input's integers in one step. It\n"
    "   links CMSIS-DSP (https://github.com/ARM-software/CMSIS-DSP, Apache-2.0; the Python source package `cmsisdsp`\n"
    "   has it, too)."
)
_NO_FRONT_END = (
    "There is no front end in this bundle, for the model does not say which features it takes, or takes some\n"
    "   that CMSIS-DSP has no FFT for (it has powers of two from 32 to 4096). Compute them exactly as the settings say."
)
_ESP_DSP = "\n  CMSIS-DSP is plain C with `-D__GNUC_PYTHON__`: the eleven files that `CMakeLists.txt` names will do."
_ZEPHYR_DSP = (
    ", `CONFIG_CMSIS_DSP=y`, `CONFIG_CMSIS_DSP_TRANSFORM=y`,\n"
    "  `CONFIG_CMSIS_DSP_COMPLEXMATH=y` and `CONFIG_CMSIS_DSP_FASTMATH=y`"
)
_SMOOTHING = (
    " `kmtl/kmtl_scene_smoother.h` makes a scene of the logits that does not flicker;\n"
    "   `SCENE_WEIGHT` and `SCENE_HOLD` are those of the recipe."
)
_TURNS = (
    " The event decoder hears in both\n"
    "   directions: every {hop} steps it goes over {ring} embeddings within one push. Keep what the microphone gives\n"
    "   meanwhile, in a DMA buffer or by a task of its own."
)
_CELLS = (
    " Scores behind the recurrent cells may: these\n"
    "carry on what one operator rounds otherwise, and SUB of 16 bits does so in TFLM of August 2026. How far they are\n"
    "apart is printed; more than `KMTL_SELFTEST_CELL_STEPS` fails."
)
_CMSIS_DSP = (
    "\n   Get CMSIS-DSP too (https://github.com/ARM-software/CMSIS-DSP, Apache-2.0; "
    "the Python source package `cmsisdsp` has it)."
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

    Args:
        name: the bundle's identifier.
        artifact: what it is of.
        report: the emulator's.
        networks: its members.
        vectors: golden vectors; None of a streaming artifact.
        facts: `arena_bytes`, and of a streaming artifact `arenas` and `buffers`, bytes by name.
        stages: of the self-test.
        files: paths of the other files.
    """
    files, known = set(files), artifact.facts
    front_end = "golden_audio.c" in files
    words = {
        "name": name,
        "NAME": name.upper(),
        "target": report.target["name"],
        "description": report.target.get("description", ""),
        "part": known.part,
        "system": known.get("system") or "unknown",
        "sha256": report.artifact["sha256"],
        "arena": f"{facts['arena_bytes']:,}",
    }
    of_files: dict[str, Any] = {"tflm": next(e.version for e in report.engines if e.engine == "tflm")}
    if vectors is None:
        words |= _of_stream(artifact, facts)
        of_files["members"] = len(networks)
        about, steps, basis, listed, note = _sections("README_stream.md.in", words)
        own = {"networks": f"\n{listed}\n", "note": f"\n{note}\n", "resolvers": "resolvers'", "more": _CMSIS_DSP}
    else:
        (network,) = networks
        words |= {"measured": f"{network.arena_bytes:,}", "tolerance": report.target["parity_lsb"]}
        words["front_end"] = _FRONT_END if front_end else _NO_FRONT_END
        words["smoothing"] = _SMOOTHING if "kmtl/kmtl_scene_smoother.c" in files else ""
        of_files |= {
            "operators": len(registrations(network.ops)),
            "model_bytes": f"{report.artifact['file_bytes']:,}",
            "vectors": len(vectors),
            "c_vectors": min(C_VECTORS, len(vectors)),
            "inputs": _ports(network.member.inputs),
            "outputs": _ports(network.member.outputs),
        }
        about, steps, basis = _sections("README_model.md.in", words)
        own = {"networks": "", "note": "", "resolvers": "resolver's", "more": ""}
    checks = "\n".join(
        f"| {c.name} | {'-' if c.value is None else f'{c.value:,}'} | {c.limit:,} | {c.unit} | {c.why} |"
        for c in report.checks
    )
    return filled(
        "README.md.in",
        **own,
        name=name,
        target=words["target"],
        about=about,
        steps=steps,
        basis=basis,
        table=file_table(files, of_files),
        checks=checks,
        build=_build(name, stages, front_end),
    )


def _of_stream(artifact: Artifact, facts: Mapping[str, Any]) -> dict[str, str]:
    """Words of a streaming artifact's own sections."""
    calls, wiring = artifact.manifest["calls_per_second"], artifact.wiring
    members = [
        f"| `{name}` | {len(member.content):,} | {facts['arenas'][name]:,} | {calls[name]:g} |"
        for name, member in artifact.members.items()
    ]
    return {
        "members": "\n".join(members),
        "arenas": f"{sum(facts['arenas'].values()):,}",
        "buffers": f"{sum(facts['buffers'].values()):,}",
        "scratch": f"{facts['buffers']['scratch']:,}",
        "turns": _TURNS.format(ring=wiring.event_ring, hop=wiring.stream.event_hop) if wiring.event_ring else "",
        "latency": ", ".join(f"{task} {value:g} s" for task, value in artifact.manifest["latency_s"].items()),
    }


def _sections(template: str, words: Mapping[str, Any]) -> list[str]:
    """What only one kind of bundle says: about, steps, and what the checks rest on, and then what else it has."""
    return filled(template, **words).rstrip("\n").split("\n%%\n")


def _build(name: str, stages: Sequence[str], front_end: bool) -> str:
    dsp = " -DCMSISDSP_SOURCE_DIR=CMSIS-DSP" if front_end else ""
    zephyr = _ZEPHYR_DSP if front_end else ""
    esp = _ESP_DSP if front_end else ""
    listed = ", ".join(stages[:-1]) + (" and " if len(stages) > 1 else "") + stages[-1]
    cells = _CELLS if "decoder" in stages else ""
    return filled(
        "README_build.md.in",
        cells=cells,
        name=name,
        stages=listed,
        dsp_option=dsp,
        zephyr_dsp=zephyr,
        esp_dsp=esp,
        tflm_definitions=" and ".join(f"`{each}`" for each in TFLM_DEFINITIONS),
    ).rstrip("\n")


def _ports(ports: Sequence[Port]) -> str:
    return ", ".join(f"{port.dtype} {'x'.join(map(str, port.shape))}" for port in ports)
