"""Runs an artifact on real interpreters and holds it against a target's limits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from keras_mtl.core import ArtifactError, LogMelSettings
from keras_mtl.firmware_host.arena import arena_of, arena_of_members
from keras_mtl.firmware_host.compute import (
    OpRow,
    activation_bytes_per_second,
    code_parts,
    compatibility,
    compute_notes,
    estimate,
    op_rows,
)
from keras_mtl.firmware_host.emulate.checks import CHECKS
from keras_mtl.firmware_host.emulate.context import Context
from keras_mtl.firmware_host.emulate.first_difference import first_difference
from keras_mtl.firmware_host.emulate.memory import stream_memory
from keras_mtl.firmware_host.emulate.on_engines import engines_for, random_inputs, run_on_each, with_difference
from keras_mtl.firmware_host.emulate.parity import parities
from keras_mtl.firmware_host.engines import ENGINES, EngineRun, run
from keras_mtl.firmware_host.report import Report
from keras_mtl.firmware_host.targets import Target
from keras_mtl.tflite.artifact import Artifact

#: Frames of one part of a golden recording: some number that is no multiple of a step.
_PUSH = 37


def emulate(
    artifact: Artifact,
    target: Target,
    engines: Sequence[str] = ENGINES,
    features: LogMelSettings | None = None,
    path: str = "",
    timeout_s: float = 120.0,
) -> Report:
    """Checks one artifact for one target.

    The engines run on the artifact's golden inputs and are compared with its reference outputs too; without golden data
    a file runs on seeded random inputs and the engines are compared with each other. A streaming artifact takes its
    golden recording from a start to its end, in parts as they would come.

    Args:
        artifact: what to check.
        target: what to hold it against. A board always runs `tflm`, which measures the arena.
        engines: names of the engines to run.
        features: settings of a run's features, to be compared with the artifact's.
        path: where the artifact lies, for the report.
        timeout_s: for each engine.

    Returns:
        The report. An engine that refuses, crashes or hangs is listed with its reason; it fails the report only where
        the target needs that engine. Of a streaming artifact the arena is that of all members together.

    Raises:
        ArtifactError: a file that can't be read, or a streaming artifact without golden data or with ports of another.
    """
    if artifact.streams and not artifact.golden:
        raise ArtifactError(f"{path or 'the artifact'} has no golden data", hint="convert the run again")
    inputs = dict(artifact.golden.inputs) if artifact.golden else random_inputs(artifact.network)
    pushes = _pushes(len(inputs["recording"])) if artifact.streams else None
    rows, calls = _rows(artifact)
    runs, results = run_on_each(
        engines_for(target, engines), lambda name: run(name, artifact, inputs, pushes, timeout_s)
    )
    found = parities(artifact, runs)
    nearest = found.get("outputs") or found.get("scenes")
    arena, unplanned = _arena(artifact, runs, target)
    context = Context(
        artifact=artifact,
        target=target,
        rows=rows,
        calls_per_second=calls,
        runs=runs,
        engines=tuple(with_difference(result, nearest) for result in results),
        parities=found,
        arena=arena,
        memory=stream_memory(artifact, arena) if artifact.streams and arena else None,
        findings=(),
        features=features,
    )
    context = replace(context, findings=compatibility(context.members, target))
    compute, no_compute = estimate(rows, calls, target)
    kind = "artifact" if artifact.streams else "file"
    notes = [f"{each.engine} did not run the {kind}: {each.reason}" for each in results if not each.ran]
    if artifact.streams:
        seconds = len(inputs["recording"]) * artifact.facts.features.hop_s
        notes.append(f"{seconds:g} s of audio were predicted, from a start to their end")
    return Report(
        _about(context, path),
        target.to_dict(),
        tuple(check for make in CHECKS if (check := make(context))),
        rows,
        context.engines,
        (*notes, *unplanned, *compute_notes(compute, no_compute)),
        compute=compute,
        arena=arena,
        parity=_differences(context, inputs, timeout_s),
        compatibility=tuple(finding.to_dict() for finding in context.findings),
    )


def _pushes(frames: int) -> list[int]:
    return [min(_PUSH, frames - first) for first in range(0, frames, _PUSH)]


def _rows(artifact: Artifact) -> tuple[tuple[OpRow, ...], tuple[float, ...]]:
    """The operators of all members, numbered through, of a stream each with its member's name before its own.

    And for each how often its member runs for one second of audio.
    """
    found: list[tuple[OpRow, float]] = []
    rates = artifact.calls_per_second
    for name, member in artifact.members.items():
        for row in op_rows(member.model):
            shown = f"{name}/{row.name}" if artifact.streams else row.name
            found.append((replace(row, name=shown, index=len(found)), rates[name]))
    return tuple(row for row, _ in found), tuple(rate for _, rate in found)


def _arena(artifact: Artifact, runs: dict[str, EngineRun], target: Target) -> tuple[dict[str, Any] | None, list[str]]:
    """The arena's plan, or none and a note why."""
    measured = runs["tflm"].arena_bytes if "tflm" in runs else {}
    try:
        if artifact.streams:
            return arena_of_members(artifact.members, measured, target), []
        return arena_of(artifact.network.model, measured.get(artifact.network.name), target), []
    except ArtifactError as error:
        return None, [f"the arena can't be planned: {error.message}"]


def _about(context: Context, path: str) -> dict[str, Any]:
    """The artifact itself, for the report."""
    artifact, facts, manifest = context.artifact, context.artifact.facts, context.artifact.manifest
    per_second = artifact.macs_per_second
    macs = artifact.network.macs
    if artifact.streams and per_second is not None:
        macs = round(per_second * facts.audio_seconds)
    listed = ("buffers", "members", "latency_s", "rings", "calls_per_second") if artifact.streams else ()
    return {
        "path": path,
        "sha256": artifact.sha256,
        "file_bytes": artifact.file_bytes,
        "part": facts.get("part"),
        "schedule": artifact.wiring.schedule.kind,
        "format": facts.get("format"),
        **({"cells": facts.get("cells")} if artifact.streams else {}),
        "system": facts.get("system"),
        "features": facts.get("features"),
        "labels": facts.labels.to_dict(),
        "audio_seconds": facts.audio_seconds,
        "parameter_bytes": artifact.parameter_bytes,
        "macs": macs,
        "macs_per_second": per_second,
        "activation_bytes_per_second": activation_bytes_per_second(context.rows, context.calls_per_second),
        **{key: manifest[key] for key in listed},
        **({"memory": context.memory} if context.memory else {}),
        **({"code_bytes": code_parts(artifact, context.target)} if context.target.is_board else {}),
    }


def _differences(context: Context, inputs: dict[str, np.ndarray], timeout_s: float) -> dict[str, Any] | None:
    """How outputs differ as plain values; None where nothing was compared.

    Of a stream the scenes' parity with the key `of`, and the events' under `events`; or the one that there is.
    """
    artifact, limit = context.artifact, context.target.parity_lsb
    found = []
    for name, parity in context.parities.items():
        allowed: float = limit
        if name == "events":  # what is allowed there is a difference of probabilities
            port = artifact.members[artifact.wiring.classifiers].outputs[0]
            allowed = context.target.parity_probability / (port.scale or 1.0)
        first = first_difference(artifact, inputs, context.runs, parity, allowed, limit, timeout_s)
        values = parity.to_dict(limit if name != "events" else round(allowed, 3), first)
        found.append({"of": name, **values} if artifact.streams else values)
    if len(found) == 2:
        return found[0] | {"events": found[1]}
    return found[0] if found else None
