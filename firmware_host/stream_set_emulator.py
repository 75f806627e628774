"""Runs a streaming set over a whole recording on real interpreters, and holds it against a target's limits."""

from __future__ import annotations

from collections.abc import Sequence

from keras_mtl.errors import ArtifactError
from keras_mtl.features import LogMelSettings
from keras_mtl.firmware_host import checks, set_checks, set_parity, stream_memory, stream_set_checks
from keras_mtl.firmware_host.arena_report import arena_of_set
from keras_mtl.firmware_host.compatibility import compatibility
from keras_mtl.firmware_host.compute_estimate import compute_notes, estimate
from keras_mtl.firmware_host.cost import activation_bytes_per_second
from keras_mtl.firmware_host.engines import ENGINES
from keras_mtl.firmware_host.engines.stream_set_runner import run_stream_set
from keras_mtl.firmware_host.every_engine import engines_for, run_on_each, with_difference
from keras_mtl.firmware_host.report import Report
from keras_mtl.firmware_host.set_emulator import about_set, member_rows
from keras_mtl.firmware_host.target import Target
from keras_mtl.tflite import flatbuffer
from keras_mtl.tflite.artifact_set import ArtifactSet

#: Frames of one push: some number that is no multiple of a step.
_PUSH = 37


def emulate_stream_set(
    artifacts: ArtifactSet,
    target: Target,
    engines: Sequence[str] = ENGINES,
    features: LogMelSettings | None = None,
    path: str = "",
    timeout_s: float = 600.0,
) -> Report:
    """Checks one streaming set for one target.

    The engines hear the golden recording from a start to its end, in pushes as they come, and are compared with the
    network that was converted: logits of each call of the scene decoder, probabilities of each step, decoded events.

    Args:
        artifacts: what to check.
        target: what to hold it against. A board always runs `tflm`, which measures the arenas.
        engines: names of the engines to run.
        features: settings of a run's features, to be compared with the set's.
        path: where the set lies, for the report.
        timeout_s: for each engine.

    Returns:
        The report. Its artifact has `memory` (see `stream_memory.stream_memory`), `latency_s`, `rings` and
        `calls_per_second` besides.

    Raises:
        ArtifactError: a set without golden data, one that hears clips, or whose members have ports of another set.
    """
    wiring, golden, manifest = artifacts.stream_wiring, artifacts.golden, artifacts.manifest
    if not golden:
        raise ArtifactError(f"{path or 'the set'} has no golden data", hint="convert the run again")
    settings = LogMelSettings.from_dict(manifest["features"])
    models = {name: flatbuffer.read_model(artifact.content) for name, artifact in artifacts.members.items()}
    rows = member_rows(artifacts)
    wanted = engines_for(target, engines)
    recording = golden["recording"]
    pushes = [min(_PUSH, len(recording) - first) for first in range(0, len(recording), _PUSH)]
    ran, results = run_on_each(wanted, lambda name: run_stream_set(name, artifacts, recording, pushes, timeout_s))
    runs = list(ran.values())
    scenes, events = set_parity.scenes_parity(artifacts, runs), set_parity.events_parity(artifacts, runs)
    if scenes is not None:
        results = [with_difference(result, scenes) for result in results]
    tflm = next((run for run in runs if run.engine == "tflm"), None)
    result = next((result for result in results if result.engine == "tflm"), None)
    contents = {name: artifact.content for name, artifact in artifacts.members.items()}
    arena = arena_of_set(contents, tflm.arena_bytes if tflm else {})
    ram = stream_memory.stream_memory(artifacts, arena)
    calls = wiring.calls_per_second(1 / settings.hop_s)
    each_call = [calls[row.name.partition("/")[0]] for row in rows]
    compute, no_compute = estimate(rows, each_call, target)
    findings = compatibility(models, target)
    counted = ", ".join(f"{name} {manifest['calls_per_second'][name]:g}" for name in artifacts.members)
    made = (
        checks.parameter_bytes(manifest["parameter_bytes"], target),
        checks.macs_per_second(manifest["macs_per_second"], "", f"calls a second: {counted}", target),
        checks.flash_bytes(sum(map(len, contents.values())), True, target),
        stream_memory.arena_bytes(arena, ram, target),
        stream_set_checks.audio_latency_s(manifest, wiring, target),
        checks.ops_supported(result, rows, findings, target),
        set_checks.integer_only(models),
        checks.parity_lsb(scenes, results, "calls of the scene decoder", target) if scenes is not None else None,
        stream_set_checks.parity_probability(golden, runs),
        stream_set_checks.events_differ(golden, runs, manifest, wiring),
        checks.features_match(manifest, features),
    )
    about = about_set(artifacts, path) | {
        "activation_bytes_per_second": activation_bytes_per_second(rows, each_call),
        "memory": ram,
        **{key: manifest[key] for key in ("latency_s", "rings", "calls_per_second")},
    }
    notes = [f"{each.engine} did not run the set: {each.reason}" for each in results if not each.ran]
    notes += [f"{len(golden['recording']) * settings.hop_s:g} s of audio were heard, from a start to their end"]
    return Report(
        about,
        target.to_dict(),
        tuple(filter(None, made)),
        rows,
        tuple(results),
        (*notes, *compute_notes(compute, no_compute)),
        compute=compute,
        arena=arena,
        parity=set_parity.told(artifacts, scenes, events, target.parity_lsb, timeout_s),
        compatibility=tuple(finding.to_dict() for finding in findings),
    )
