"""The bundle's README: what a firmware engineer does with each file, and in which order."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from keras_mtl.firmware_host.bundle.golden import C_VECTORS, GoldenVectors
from keras_mtl.firmware_host.bundle.networks import Network
from keras_mtl.firmware_host.bundle.readme_table import file_table
from keras_mtl.firmware_host.bundle.resolver import registrations
from keras_mtl.firmware_host.bundle.static_files import filled
from keras_mtl.firmware_host.report import Report
from keras_mtl.tflite.artifact_set import ArtifactSet

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
    "   `SCENE_WEIGHT` and `SCENE_HOLD` are to begin with."
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


def model_readme(network: Network, report: Report, vectors: GoldenVectors, files: Iterable[str]) -> str:
    """The text of a model's README.md.

    Args:
        network: the model.
        report: the emulator's.
        vectors: the golden vectors.
        files: paths of the other files.
    """
    files = set(files)
    name, manifest = network.name, network.artifact.manifest
    front_end, scenes = "golden_audio.c" in files, "kmtl/kmtl_scene_smoother.c" in files
    stages = [
        *(("features", "input", "network") if front_end else ()),
        "vectors",
        *(("scenes",) if scenes and front_end else ()),
    ]
    facts = {
        "operators": len(registrations(report.ops)),
        "model_bytes": f"{report.artifact['file_bytes']:,}",
        "vectors": len(vectors),
        "c_vectors": min(C_VECTORS, len(vectors)),
        "inputs": _ports(manifest["inputs"]),
        "outputs": _ports(manifest["outputs"]),
        "tflm": _tflm(report),
    }
    return filled(
        "README.md.in",
        **_target(name, report),
        part=manifest.get("part") or "unknown",
        system=manifest.get("system") or "unknown",
        sha256=report.artifact["sha256"],
        table=file_table(files, facts),
        measured=f"{network.arena_bytes:,}",
        arena=f"{network.arena_setting_bytes:,}",
        tolerance=report.target["parity_lsb"],
        front_end=_FRONT_END if front_end else _NO_FRONT_END,
        smoothing=_SMOOTHING if scenes else "",
        build=_build(name, stages, front_end),
    )


def set_readme(
    name: str, artifacts: ArtifactSet, report: Report, facts: Mapping[str, Any], files: Iterable[str]
) -> str:
    """The text of a set's README.md.

    Args:
        name: the set's identifier.
        artifacts: the set.
        report: the emulator's.
        facts: `arenas` and `buffers`, bytes by name.
        files: paths of the other files.
    """
    manifest, wiring = artifacts.manifest, artifacts.wiring
    scenes = bool(wiring.scene_head)
    stages = ["features", "input", "encoder with scenes" if scenes else "encoder", "cells", "decoder"]
    return filled(
        "README_set.md.in",
        **_set(name, artifacts, report, facts, files),
        window_hop_s=f"{wiring.windows.hop * manifest['features']['hop'] / manifest['features']['sample_rate_hz']:g}",
        clip_s=f"{manifest['audio_seconds']:g}",
        front_end=_FRONT_END,
        smoothing=_SMOOTHING if scenes else "",
        scenes="logits" if scenes else "NULL",
        build=_build(name, stages, True),
    )


def stream_readme(
    name: str, artifacts: ArtifactSet, report: Report, facts: Mapping[str, Any], files: Iterable[str]
) -> str:
    """The text of a streaming set's README.md.

    Args:
        name: the set's identifier.
        artifacts: the set.
        report: the emulator's.
        facts: `arena_bytes`, and `arenas` and `buffers`, bytes by name.
        files: paths of the other files.
    """
    manifest, wiring = artifacts.manifest, artifacts.stream_wiring
    return filled(
        "README_stream.md.in",
        **_set(name, artifacts, report, facts, files),
        arena=f"{facts['arena_bytes']:,}",
        scratch=f"{facts['buffers']['scratch']:,}",
        turns=_TURNS.format(ring=wiring.event_ring, hop=wiring.event_hop) if wiring.event_ring else "",
        latency=", ".join(f"{task} {value:g} s" for task, value in manifest["latency_s"].items()),
        build=_build(name, ["features", "input", "listener", *(["decoder"] if wiring.classifiers else [])], True),
    )


def _set(
    name: str, artifacts: ArtifactSet, report: Report, facts: Mapping[str, Any], files: Iterable[str]
) -> dict[str, str]:
    """What the READMEs of both kinds of set say."""
    manifest = artifacts.manifest
    members = [
        f"| `{member}` | {artifact.manifest['file_bytes']:,} | {facts['arenas'][member]:,} "
        f"| {manifest['calls_per_second'][member]:g} |"
        for member, artifact in artifacts.members.items()
    ]
    return {
        **_target(name, report),
        "part": manifest["part"],
        "system": manifest["system"],
        "sha256": report.artifact["sha256"],
        "table": file_table(set(files), {"tflm": _tflm(report), "members": len(artifacts.members)}),
        "members": "\n".join(members),
        "arenas": f"{sum(facts['arenas'].values()):,}",
        "buffers": f"{sum(facts['buffers'].values()):,}",
    }


def _target(name: str, report: Report) -> dict[str, str]:
    checks = "\n".join(
        f"| {c.name} | {'-' if c.value is None else f'{c.value:,}'} | {c.limit:,} | {c.unit} | {c.why} |"
        for c in report.checks
    )
    return {
        "name": name,
        "NAME": name.upper(),
        "target": report.target["name"],
        "description": report.target.get("description", ""),
        "checks": checks,
    }


def _build(name: str, stages: list[str], front_end: bool) -> str:
    dsp = " -DCMSISDSP_SOURCE_DIR=CMSIS-DSP" if front_end else ""
    zephyr = _ZEPHYR_DSP if front_end else ""
    esp = _ESP_DSP if front_end else ""
    listed = ", ".join(stages[:-1]) + (" and " if len(stages) > 1 else "") + stages[-1]
    cells = _CELLS if "decoder" in stages else ""
    return filled(
        "README_build.md.in", cells=cells, name=name, stages=listed, dsp_option=dsp, zephyr_dsp=zephyr, esp_dsp=esp
    ).rstrip("\n")


def _tflm(report: Report) -> str:
    return next(engine.version for engine in report.engines if engine.engine == "tflm")


def _ports(ports: list[dict[str, Any]]) -> str:
    return ", ".join(f"{port['dtype']} {'x'.join(map(str, port['shape']))}" for port in ports)
