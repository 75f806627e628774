"""Runs an artifact on real interpreters and holds it against a target's limits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from keras_mtl.core import ArtifactError, LogMelSettings
from keras_mtl.firmware_host.arena import arena_of, arena_of_members
from keras_mtl.firmware_host.compute import (
    Battery,
    Burst,
    OpRow,
    activation_bytes_per_second,
    around_networks,
    code_parts,
    compatibility,
    energy_of,
    estimate,
    longest_burst,
    op_rows,
    remedies_for,
)
from keras_mtl.firmware_host.emulate.checks import CHECKS
from keras_mtl.firmware_host.emulate.context import Context
from keras_mtl.firmware_host.emulate.first_difference import first_difference
from keras_mtl.firmware_host.emulate.inputs import random_inputs, takes_unquantized
from keras_mtl.firmware_host.emulate.memory import stream_memory
from keras_mtl.firmware_host.emulate.on_engines import engines_for, run_on_each, with_difference
from keras_mtl.firmware_host.emulate.parity import parities
from keras_mtl.firmware_host.emulate.plain import plain_sizes
from keras_mtl.firmware_host.engines import C99, ENGINES, EngineRun, run
from keras_mtl.firmware_host.report import Check, EngineResult, Report
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
    battery: Battery | None = None,
    runtime: str = "tflm",
) -> Report:
    """Checks one artifact for one target.

    The engines run on the artifact's golden inputs and are compared with its reference outputs too; without golden data
    a file runs on seeded random inputs and the engines are compared with each other. What keeps a state runs on them
    one after the other, and with a reset before each. A streaming artifact takes its golden recording from a start to
    its end, in parts as they would come.

    Args:
        artifact: what to check.
        target: what to hold it against. A board always runs `tflm`, which measures the arena.
        engines: names of the engines to run.
        features: settings of a run's features, to be compared with the artifact's.
        path: where the artifact lies, for the report.
        timeout_s: for each engine.
        battery: what the device runs on, for days by the estimated energy; None for no such figure.
        runtime: what runs the networks on the board: "tflm", TensorFlow Lite Micro, or "c99": they are C themselves,
            and the engine of that name runs, too.

    Returns:
        The report. An engine that refuses, crashes or hangs is listed with its reason; it fails the report only where
        the target needs that engine. Of a streaming artifact the arena is that of all members together.

    Raises:
        ArtifactError: a file that can't be read, or a streaming artifact without golden data or with ports of another.
        EngineRefused: a layer that there is no C99 for, where the runtime is that.
    """
    plain = plain_sizes(artifact) if runtime == C99 else None
    engines = (*engines, C99) if plain else engines
    if artifact.streams and not artifact.golden:
        raise ArtifactError(f"{path or 'the artifact'} has no golden data", hint="convert the run again")
    rows, calls = _rows(artifact)
    inputs, runs, results = _runs(artifact, engines_for(target, engines), timeout_s)
    found = parities(artifact, runs)
    nearest = found.get("outputs") or found.get("scenes")
    arena, unplanned = _arena(artifact, runs, target)
    computing = replace(target, kernels=C99, kernels_version=None, kernels_build=None) if plain else target  # type: ignore[arg-type]
    compute, no_compute = estimate(rows, calls, computing, around_networks(artifact, computing))
    burst = longest_burst(artifact, rows, calls, computing)
    context = Context(
        artifact=artifact,
        target=target,
        rows=rows,
        calls_per_second=calls,
        runs=runs,
        engines=tuple(with_difference(result, nearest) for result in results),
        parities=found,
        arena=arena,
        memory=stream_memory(artifact, arena, burst.kept_bytes if burst else 0) if artifact.streams and arena else None,
        findings=(),
        features=features,
        compute=compute,
        no_compute=no_compute,
        burst=burst,
        plain=plain,
    )
    context = replace(context, findings=compatibility(context.members, target))
    differences = _differences(context, inputs, timeout_s)
    made = {make.__name__: check for make in CHECKS if (check := make(context))}
    notes = [f"{name}: not checked: {check}" for name, check in made.items() if isinstance(check, str)]
    notes += [*_uncertain(made), *_about_notes(context, inputs), *_left_out(context, differences)]
    return Report(
        _about(context, path),
        target.to_dict(),
        tuple(check for check in made.values() if isinstance(check, Check)),
        rows,
        context.engines,
        (*notes, *unplanned),
        compute=None if compute is None else compute | {"energy": energy_of(compute, target, battery), **_burst(burst)},
        arena=arena,
        parity=_nested(differences),
        compatibility=tuple(finding.to_dict() for finding in context.findings),
        remedies=_remedies(context, computing, made.get("real_time")),
    )


def _uncertain(made: Mapping[str, Check | str]) -> list[str]:
    """A warning for each check that passed by its lower end only."""
    found = [check for check in made.values() if isinstance(check, Check) and not check.certain]
    return [f"warning: {check.name} passed, but that is not certain: {check.why}" for check in found]


def _burst(burst: Burst | None) -> dict[str, Any]:
    return {"burst_s": None if burst is None else [round(end, 6) for end in burst.seconds]}


def _remedies(context: Context, target: Target, check: Check | str | None) -> tuple[dict[str, Any], ...]:
    """What would make it fit, where it is not certain that it does; `target` with the kernels that it was held to."""
    if not isinstance(check, Check) or (check.ok and check.certain):
        return ()
    needed = context.memory["total_bytes"] if context.memory else 0
    free = (target.ram_bytes or 0) - (target.application_ram_bytes or 0) - needed
    return tuple(remedies_for(context.artifact, context.rows, context.calls_per_second, target, free))


def _runs(
    artifact: Artifact, engines: Sequence[str], timeout_s: float
) -> tuple[dict[str, np.ndarray], dict[str, EngineRun], list[EngineResult]]:
    """The inputs, the runs by engine of those that ran on them, and a row of the report for each engine."""
    inputs = dict(artifact.golden.inputs) if artifact.golden else random_inputs(artifact.network)
    pushes = _pushes(len(inputs["recording"])) if artifact.streams else None
    runs, results = run_on_each(engines, lambda name: run(name, artifact, inputs, pushes, timeout_s))
    if len(runs) < len(engines) and not artifact.golden and takes_unquantized(artifact.network):
        # They may be indices in a way that is not seen in the file: 0 is the one that is always there.
        zeros = random_inputs(artifact.network, zeros=True)
        again, others = run_on_each(engines, lambda name: run(name, artifact, zeros, timeout_s=timeout_s))
        if len(again) > len(runs):
            return zeros, again, others
    return inputs, runs, results


def _pushes(frames: int) -> list[int]:
    return [min(_PUSH, frames - first) for first in range(0, frames, _PUSH)]


def _rows(artifact: Artifact) -> tuple[tuple[OpRow, ...], tuple[float, ...] | None]:
    """The operators of all members, numbered through, of a stream each with its member's name before its own.

    And for each how often its member runs for one second of audio; None where that is not known.
    """
    found: list[tuple[OpRow, float]] = []
    rates = artifact.calls_per_second
    for name, member in artifact.members.items():
        for row in op_rows(member.model):
            shown = f"{name}/{row.name}" if artifact.streams else row.name
            found.append((replace(row, name=shown, index=len(found)), rates[name] if rates else 0.0))
    return tuple(row for row, _ in found), tuple(rate for _, rate in found) if rates else None


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
        macs = round(per_second * (facts.audio_seconds or 1.0))
    signatures = artifact.network.signatures if not artifact.streams else {}
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
        "hop_s": facts.hop_s,
        **({"signatures": list(signatures)} if signatures else {}),
        "parameter_bytes": artifact.parameter_bytes,
        "macs": macs,
        "macs_per_second": per_second,
        "activation_bytes_per_second": activation_bytes_per_second(context.rows, context.calls_per_second),
        **{key: manifest[key] for key in listed},
        **({"memory": context.memory} if context.memory and not context.plain else {}),
        **({"runtime": C99, "c99": dict(context.plain)} if context.plain else {}),
        **({"code_bytes": code_parts(artifact, context.target)} if context.target.is_board else {}),
    }


def _about_notes(context: Context, inputs: dict[str, np.ndarray]) -> list[str]:
    """What a reader should know of the artifact."""
    artifact = context.artifact
    if artifact.streams:
        seconds = len(inputs["recording"]) * artifact.facts.features.hop_s
        return [f"{seconds:g} s of audio were predicted, from a start to their end"]
    notes, signatures = [], artifact.network.signatures
    if artifact.facts.hop_s is None:
        notes.append("figures are per inference: the file does not say how often it runs; --hop-s SECONDS states it")
    others = [name for name, number in signatures.items() if number != 0]
    if others:
        first = next((name for name, number in signatures.items() if number == 0), "the first subgraph")
        notes.append(f"of its signatures {first} was checked, and not {', '.join(others)}: --signature chooses one")
    return notes


def _left_out(context: Context, differences: Mapping[str, dict[str, Any]]) -> list[str]:
    """The engines that differ by more than is allowed and do not decide, and the operator that begins it."""
    notes = []
    for kind, values in differences.items():
        parity, first = context.parities[kind], values["first_difference"] or {}
        limit, wrong_kernels = context.target.parity_lsb, context.wrong_kernels
        left_out = {} if kind == "events" else parity.left_out(limit, wrong_kernels)
        # Where what decides differs as well, the check has said so.
        failed = values["limit_lsb"] is not None and (values["largest_lsb"] is None or values["largest_lsb"] > limit)
        if not left_out or failed:
            continue
        words = ", ".join(f"{name} by {lsb:,.6g} LSB" for name, lsb in left_out.items())
        row = " one after the other" if kind == "in_a_row" else ""
        note = f"from {parity.base} differs{row} {words}, which is no fault of the file"
        if "op" in first:
            note += f": {first['engine']} begins at operator {first['operator']}, {first['op']} ({first['layer']})"
        wrong = [f"{name} computes {op} wrongly" for name, op in wrong_kernels.items() if name in left_out]
        notes.append("; ".join([note, *wrong]))
    return notes


def _differences(context: Context, inputs: dict[str, np.ndarray], timeout_s: float) -> dict[str, dict[str, Any]]:
    """How outputs differ as plain values, by what was compared."""
    artifact, limit, wrong = context.artifact, context.target.parity_lsb, context.wrong_kernels
    found: dict[str, dict[str, Any]] = {}
    for kind, parity in context.parities.items():
        allowed: float = limit
        if kind == "events":  # what is allowed there is a difference of probabilities
            port = artifact.members[artifact.wiring.classifiers].outputs[0]
            allowed = context.target.parity_probability / (port.scale or 1.0)
        runs = context.runs
        if kind == "outputs" and "in_a_row" in context.parities:
            runs = {name: replace(each, outputs=each.from_reset) for name, each in runs.items()}
        first = first_difference(artifact, inputs, runs, parity, allowed, limit, timeout_s)
        if kind == "in_a_row" and first and not found["outputs"]["first_difference"]:
            ends = {key: first[key] for key in ("engine", "against")}
            first = ends | {"why": "with a reset before each inference they agree: they differ in the state they carry"}
        values = parity.to_dict(limit if kind != "events" else round(allowed, 3), first, wrong)
        found[kind] = {"of": kind, **values} if artifact.streams else values
    return found


def _nested(differences: Mapping[str, dict[str, Any]]) -> dict[str, Any] | None:
    """What was compared first with what was compared besides under its name; None where nothing was."""
    if not differences:
        return None
    first, *others = differences
    return differences[first] | {kind: differences[kind] for kind in others}
