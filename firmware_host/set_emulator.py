"""Runs a set of artifacts on real interpreters, as a device would, and holds it against a target's limits."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from keras_mtl.errors import ArtifactError
from keras_mtl.features import LogMelSettings
from keras_mtl.firmware_host import checks, set_checks, set_parity
from keras_mtl.firmware_host.arena_report import arena_of_set
from keras_mtl.firmware_host.compatibility import compatibility
from keras_mtl.firmware_host.compute_estimate import compute_notes, estimate
from keras_mtl.firmware_host.cost import OpRow, activation_bytes_per_second, op_rows
from keras_mtl.firmware_host.engines import ENGINES
from keras_mtl.firmware_host.engines.set_runner import run_set
from keras_mtl.firmware_host.every_engine import engines_for, run_on_each, with_difference
from keras_mtl.firmware_host.report import Report
from keras_mtl.firmware_host.target import Target
from keras_mtl.tflite import flatbuffer
from keras_mtl.tflite.artifact_set import ArtifactSet


def emulate_set(
    artifacts: ArtifactSet,
    target: Target,
    engines: Sequence[str] = ENGINES,
    features: LogMelSettings | None = None,
    path: str = "",
    timeout_s: float = 600.0,
) -> Report:
    """Checks one set for one target.

    The engines hear the set's golden clips, each member in its turn, and are compared with the network that was
    converted: logits of scenes in steps, as of any file, probabilities of events as they are, and decoded events.

    Args:
        artifacts: what to check.
        target: what to hold it against. A board always runs `tflm`, which measures the arenas.
        engines: names of the engines to run.
        features: settings of a run's features, to be compared with the set's.
        path: where the set lies, for the report.
        timeout_s: for each engine.

    Returns:
        The report: of the whole set, its operators by member. The arena is the sum of all members' and of what is kept
        between calls.

    Raises:
        ArtifactError: a set without golden data.
    """
    golden = artifacts.golden
    if not golden:
        raise ArtifactError(f"{path or 'the set'} has no golden data", hint="convert the run again")
    models = {name: flatbuffer.read_model(artifact.content) for name, artifact in artifacts.members.items()}
    rows = member_rows(artifacts)
    wanted = engines_for(target, engines)
    seconds, clips = golden.get("seconds"), golden.get("clips")
    ran, results = run_on_each(wanted, lambda name: run_set(name, artifacts, seconds, clips, timeout_s))
    runs = list(ran.values())
    scenes = set_parity.scenes_parity(artifacts, runs)
    if scenes is not None:
        results = [with_difference(result, scenes) for result in results]
    tflm = next((run for run in runs if run.engine == "tflm"), None)
    result = next((result for result in results if result.engine == "tflm"), None)
    manifest, settings = artifacts.manifest, LogMelSettings.from_dict(artifacts.manifest["features"])
    file_bytes = sum(len(artifact.content) for artifact in artifacts.members.values())
    hop_s = artifacts.wiring.windows.hop * settings.hop_s
    cells = "cells once for every embedding" if artifacts.wiring.causal else "both directions over every clip once"
    note = f"heard continuously: the encoder every {hop_s:g} s, {cells}"
    arena = arena_of_set(
        {name: artifact.content for name, artifact in artifacts.members.items()}, tflm.arena_bytes if tflm else {}
    )
    findings = compatibility(models, target)
    calls = artifacts.wiring.calls_per_second(1 / settings.hop_s)
    each_call = [calls[row.name.partition("/")[0]] for row in rows]
    compute, no_compute = estimate(rows, each_call, target)
    made = (
        checks.parameter_bytes(manifest["parameter_bytes"], target),
        checks.macs_per_second(manifest["macs_per_second"], "", note, target),
        checks.flash_bytes(file_bytes, True, target),
        set_checks.arena_bytes(tflm, manifest["buffers"], target, arena),
        set_checks.audio_latency_s(artifacts.wiring, settings, target),
        checks.ops_supported(result, rows, findings, target),
        set_checks.integer_only(models),
        checks.parity_lsb(scenes, results, "golden seconds", target) if "scenes" in golden else None,
        set_checks.parity_probability(golden, runs),
        set_checks.events_differ(golden, runs, manifest, artifacts.wiring),
        checks.features_match(manifest, features),
    )
    about = about_set(artifacts, path) | {"activation_bytes_per_second": activation_bytes_per_second(rows, each_call)}
    notes = [f"{r.engine} did not run the set: {r.reason}" for r in results if not r.ran]
    notes += compute_notes(compute, no_compute)
    events = set_parity.events_parity(artifacts, runs)
    return Report(
        about,
        target.to_dict(),
        tuple(filter(None, made)),
        rows,
        tuple(results),
        tuple(notes),
        compute=compute,
        arena=arena,
        parity=set_parity.told(artifacts, scenes, events, target.parity_lsb, timeout_s),
        compatibility=tuple(finding.to_dict() for finding in findings),
    )


def member_rows(artifacts: ArtifactSet) -> tuple[OpRow, ...]:
    """The operators of all members, numbered through, each with its member's name before its own."""
    rows = tuple(
        replace(row, name=f"{name}/{row.name}")
        for name, artifact in artifacts.members.items()
        for row in op_rows(artifact.content)
    )
    return tuple(replace(row, index=index) for index, row in enumerate(rows))


def about_set(artifacts: ArtifactSet, path: str) -> dict[str, Any]:
    """What a report says of a set itself; `path` is where it lies."""
    manifest, members = artifacts.manifest, artifacts.members.values()
    return {
        "path": path,
        "sha256": hashlib.sha256("".join(member.manifest["sha256"] for member in members).encode()).hexdigest(),
        "file_bytes": sum(len(member.content) for member in members),
        **{key: manifest.get(key) for key in ("part", "format", "cells", "system", "features", "audio_seconds")},
        "parameter_bytes": manifest["parameter_bytes"],
        "macs": round(manifest["macs_per_second"] * manifest["audio_seconds"]),
        "macs_per_second": manifest["macs_per_second"],
        "buffers": manifest["buffers"],
        "members": manifest["members"],
    }
