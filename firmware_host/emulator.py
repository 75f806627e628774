"""Runs an artifact on real interpreters and holds it against a target's limits."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from keras_mtl.errors import ArtifactError
from keras_mtl.features import LogMelSettings
from keras_mtl.firmware_host import checks
from keras_mtl.firmware_host.arena_report import arena_of
from keras_mtl.firmware_host.compatibility import compatibility
from keras_mtl.firmware_host.compute_estimate import compute_notes, estimate
from keras_mtl.firmware_host.cost import activation_bytes_per_second, op_rows, uncounted
from keras_mtl.firmware_host.engines import ENGINES, EngineRun, run_engine
from keras_mtl.firmware_host.every_engine import engines_for, run_on_each, with_difference
from keras_mtl.firmware_host.first_difference import first_difference
from keras_mtl.firmware_host.parity import REFERENCE, Parity, compare
from keras_mtl.firmware_host.report import Report
from keras_mtl.firmware_host.target import Target
from keras_mtl.tflite import flatbuffer
from keras_mtl.tflite.artifact import Artifact
from keras_mtl.tflite.macs import macs

_RANDOM_INPUTS = 8
_SEED = 20
#: Of one input: 60 s of stereo at 48 kHz are 5.8 million.
_MOST_ELEMENTS = 1 << 23


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
    they run on seeded random inputs and are compared with each other.

    Args:
        artifact: what to check.
        target: what to hold it against. A board always runs `tflm`, which measures the arena.
        engines: names of the engines to run.
        features: settings of a run's features, to be compared with the artifact's.
        path: where the artifact lies, for the report.
        timeout_s: for each engine.

    Returns:
        The report. An engine that refuses, crashes or hangs is listed with its reason; it fails the report only where
        the target needs that engine.

    Raises:
        ArtifactError: a file that can't be read.
    """
    model = flatbuffer.read_model(artifact.content)
    rows = op_rows(artifact.content)
    integer = _is_integer(artifact.manifest, model)
    inputs = artifact.golden.inputs if artifact.golden else random_inputs(model)
    wanted = engines_for(target, engines)
    runs, results = run_on_each(wanted, lambda name: run_engine(name, artifact.content, inputs, timeout_s))
    parity = _parity(artifact, model, runs)
    if parity is not None:
        results = [with_difference(result, parity) for result in results]
    tflm = next((result for result in results if result.engine == "tflm"), None)

    seconds = _audio_seconds(artifact.manifest)
    reason = uncounted(artifact.content)
    total = None if reason else macs(artifact.content)
    per_second = None if total is None else _whole(total / seconds)
    known = artifact.manifest.get("part", "unknown") != "unknown"
    seconds_note = f"one inference hears {seconds:g} s" + ("" if known else " (assumed: the file does not say)")
    parameters = flatbuffer.parameter_bytes(model)
    arena, unplanned = _arena(artifact.content, tflm.arena_bytes if tflm else None)
    findings = compatibility({"": model}, target)
    compute, no_compute = estimate(rows, [1 / seconds] * len(rows), target)
    made = (
        checks.parameter_bytes(parameters, target),
        checks.macs_per_second(per_second, reason, seconds_note, target),
        checks.flash_bytes(len(artifact.content), integer, target),
        checks.arena_bytes(tflm, target, arena),
        checks.audio_latency_s(
            seconds, f"the end of the audio: {seconds_note}", target, ["shorter clips", checks.STREAMING_SET]
        ),
        checks.ops_supported(tflm, rows, findings, target),
        checks.integer_only(model, integer),
        checks.parity_lsb(parity, results, "golden inputs" if artifact.golden else "random inputs", target),
        checks.features_match(artifact.manifest, features),
    )
    about = {
        "path": path,
        **{key: artifact.manifest.get(key) for key in ("sha256", "file_bytes", "part", "format", "system", "features")},
        "audio_seconds": seconds,
        "parameter_bytes": parameters,
        "macs": total,
        "macs_per_second": per_second,
        "activation_bytes_per_second": activation_bytes_per_second(rows, [1 / seconds] * len(rows)),
    }
    notes = [f"{r.engine} did not run the file: {r.reason}" for r in results if not r.ran]
    notes += unplanned + compute_notes(compute, no_compute)
    limit = target.parity_lsb
    first = first_difference(artifact.content, inputs, runs, parity, limit, timeout_s) if parity else None
    return Report(
        about,
        target.to_dict(),
        tuple(filter(None, made)),
        rows,
        tuple(results),
        tuple(notes),
        compute=compute,
        arena=arena,
        parity=parity.to_dict(limit, first) if parity else None,
        compatibility=tuple(finding.to_dict() for finding in findings),
    )


def _arena(content: bytes, measured_bytes: int | None) -> tuple[dict[str, Any] | None, list[str]]:
    """The arena's plan, or none and a note that says why."""
    try:
        return arena_of(content, measured_bytes), []
    except ArtifactError as error:
        return None, [f"the arena can't be planned: {error.message}"]


def random_inputs(model: Any) -> tuple[np.ndarray, ...]:
    """Seeded random inputs for a file without golden data: of each input [8, ...] over the whole range of its type.

    Raises:
        ArtifactError: an input without a fixed shape, or of a type that can't be made.
    """
    ports = flatbuffer.graph_inputs(model)
    if not ports:
        raise ArtifactError("the TFLite file has no input tensor")
    generator = np.random.default_rng(_SEED)
    return tuple(_random(generator, flatbuffer.tensor_shape(port), flatbuffer.tensor_dtype(port)) for port in ports)


def _random(generator: np.random.Generator, shape: tuple[int, ...], name: str) -> np.ndarray:
    if min(shape, default=1) < 1:
        raise ArtifactError(f"the input has no fixed shape: {list(shape)}", hint="convert with a fixed batch of 1")
    inner = shape[1:] if shape[:1] == (1,) else shape
    if math.prod(inner) > _MOST_ELEMENTS:
        raise ArtifactError(f"the input is too large to be tried: {list(shape)}", hint="give the file golden data")
    if name in ("float16", "float32", "float64"):
        return generator.standard_normal((_RANDOM_INPUTS, *inner)).astype(name)
    if name not in ("int8", "uint8", "int16", "int32"):
        raise ArtifactError(f"no test inputs can be made of type {name}")
    limits = np.iinfo(name)
    return generator.integers(limits.min, limits.max, (_RANDOM_INPUTS, *inner), endpoint=True).astype(name)


def _parity(artifact: Artifact, model: Any, runs: dict[str, EngineRun]) -> Parity | None:
    results = {name: run.outputs for name, run in runs.items()}
    if artifact.golden and results:
        results = {REFERENCE: _fitted(artifact.golden.outputs, next(iter(results.values()))), **results}
    if len(results) < 2:
        return None
    shapes = {name: [values.shape for values in outputs] for name, outputs in results.items()}
    base, *others = shapes
    odd = next((name for name in others if shapes[name] != shapes[base]), None)
    # A damaged file, of which engines make different things, or nothing.
    if odd or not shapes[base] or any(0 in shape for shape in shapes[base]):
        return Parity(math.inf, (base, odd or base), dict.fromkeys(shapes, math.inf), 0)
    float16 = any(flatbuffer.tensor_dtype(t) == "float16" for graph in model.subgraphs for t in graph.tensors)
    return compare(results, float16)


def _fitted(golden: Sequence[np.ndarray], outputs: Sequence[np.ndarray]) -> tuple[np.ndarray, ...]:
    """Golden outputs in the shapes of what the engines gave."""
    try:
        return tuple(known.reshape(found.shape) for known, found in zip(golden, outputs, strict=True))
    except ValueError:
        shapes = [[list(values.shape) for values in listed] for listed in (golden, outputs)]
        raise ArtifactError(f"golden outputs of shapes {shapes[0]} do not fit {shapes[1]}") from None


def _is_integer(manifest: dict[str, Any], model: Any) -> bool:
    if manifest.get("format"):
        return str(manifest["format"]).startswith("int")
    ports = flatbuffer.graph_inputs(model)
    return bool(ports) and flatbuffer.tensor_dtype(ports[0]).startswith(("int", "uint"))


def _audio_seconds(manifest: dict[str, Any]) -> float:
    seconds = manifest.get("audio_seconds")
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not seconds > 0:
        raise ArtifactError(f"the manifest's audio_seconds is {seconds!r}", hint="convert the run again")
    return float(seconds)


def _whole(value: float) -> float:
    return int(value) if float(value).is_integer() else value
