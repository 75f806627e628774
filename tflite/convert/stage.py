"""The stage from a run folder to an artifact (no TensorFlow in this process: the converter runs in its own).

Convert, patch (types of int16x8, starts of loops), audit (integer formats), embed what is known, and attach golden
data: evaluation clips of the run, and what the very model that was converted gives for them.
"""

from __future__ import annotations

import hashlib
import math
import tempfile
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from keras_mtl.core import ConversionError, EngineCrash, EngineTimeout, RunError, run_isolated
from keras_mtl.runs import Run, Samples
from keras_mtl.tflite import flatbuffer
from keras_mtl.tflite.artifact import SCENE_HOP, Artifact, Golden, Member, Port, Stream, Wiring, name_ports
from keras_mtl.tflite.convert.convertible import TASKS, model_file, require_known, schedule_of
from keras_mtl.tflite.flatbuffer import require_integer_only
from keras_mtl.tflite.patch import concatenate_sums, fill_loop_starts, patch_int16x8, transpose_before_matmul
from keras_mtl.tflite.qat import SCHEMES
from keras_mtl.tflite.tfmot import WEIGHTS_FILE

_WORKER, _TFMOT_WORKER = "keras_mtl.tflite.convert.worker", "keras_mtl.tflite.convert.tfmot_worker"
_TIMEOUT_S = 600.0
#: Frames of the golden steps of an encoder.
_STEP_FRAMES = 100
#: Clips that make a golden recording, one after the other: more than the events' ring holds, and seconds enough for the
#: scene decoder to be called some forty times.
_RECORDED_CLIPS = {"events": 3, "scenes": 10}
#: Scene clips that a golden recording is long at the least: when it ends, the scene decoder's ring has long been full.
_LEAST_SCENE_CLIPS = 2


def convert(
    run: Run,
    part: str,
    kind: str,
    schedule: str | None = None,
    *,
    scene_hop: int | None = None,
    event_hop: int | None = None,
    timeout_s: float = _TIMEOUT_S,
) -> Artifact:
    """Converts one part of a run's network to TensorFlow Lite. The same run gives the same bytes.

    Args:
        run: a float run for "float32" and "float16"; a quantized one of the same scheme for "int8" and "int16x8".
        part: "scenes": encoder and scene decoder; "events": encoder and event decoder; "joint": both decoders behind
            one encoder; "encoder": one step of the encoder alone, with the states of its layers as inputs and outputs.
        kind: the format: "float32", "float16", "int8" or "int16x8". Input and output of the integer formats are
            integers themselves.
        schedule: "clip": one file; of scenes the log-mel of a clip in, logits out; of events, in float only, a clip
            in, probabilities "strong" and "weak" out. "stream": a streaming artifact, in integers only. Clips are as
            long as those that the run was trained on. By default what the part and the format can be, and of scenes
            "clip".
        scene_hop: of a stream: steps of the encoder from one call of the scene decoder to the next; by default 5.
        event_hop: of a stream: steps from one pass of a bidirectional event decoder over its ring to the next; by
            default 23 of 25 parts of the ring.
        timeout_s: seconds that the converter may take.

    Raises:
        ConversionError: a part, format or schedule that can't be made of this run, an encoder that can't go step by
            step, clips of no whole number of steps or shorter than the median filter of the events, a converter that
            refused, crashed or hung, or a file that is not integer-only although it must be.
        ArtifactError: a hop that is no step, or longer than the ring.
        RunError: the run's samples are missing.
    """
    schedule = schedule or schedule_of(part, kind)
    require_known(part, kind, schedule)
    if schedule == "clip" and (scene_hop or event_hop):
        raise ConversionError("a scene hop and an event hop belong to a stream", hint="--schedule stream")
    model = run.path / model_file(run, part, kind, schedule)
    samples, golden = run.samples(), _golden_samples(run, part, schedule)
    request: dict[str, Any] = {"model": str(model.resolve()), "part": part, "format": kind, "plan": "part"}
    calibration = samples.calibration
    if schedule == "stream" or part == "encoder":
        request["plan"] = "stream" if schedule == "stream" else "encoder"
        calibration = np.zeros(0)  # its ranges are known
    if schedule == "stream":
        frames = {"scenes": samples.golden.shape[1], "events": samples.golden_events.shape[1]}
        request |= {
            "cells": _cells(run),
            "clip_frames": {task: frames[task] for task in TASKS[part]},
            "scene_hop": SCENE_HOP if scene_hop is None else scene_hop,
            "event_hop": event_hop,
        }
    made = _converted(model, request, calibration, golden, timeout_s)
    return _streaming(run, part, kind, made) if schedule == "stream" else _file(run, part, kind, made, golden)


def origin(run: Run) -> dict[str, Any]:
    """The facts of the run that a file was made of: seed, revision, data, recipe and figures."""
    info, recipe = run.info, run.path / "recipe.toml"
    digest = hashlib.sha256(recipe.read_bytes()).hexdigest() if recipe.is_file() else None
    held_out = run.recipe.train.validation_fraction if digest else None
    return {
        "seed": info["seed"],
        "git_revision": info["git_revision"],
        "data": info["data"],
        "recipe": {"name": info.get("recipe"), "sha256": digest, "validation_fraction": held_out},
        "metrics": info.get("metrics"),
    }


def _converted(
    model: Path, request: dict[str, Any], calibration: np.ndarray, golden: np.ndarray, timeout_s: float
) -> dict[str, Any]:
    """What the worker gives, with contents and golden arrays in place of the paths of their files."""
    worker = _TFMOT_WORKER if model.name == WEIGHTS_FILE else _WORKER
    try:
        with tempfile.TemporaryDirectory(prefix="keras_mtl_convert_") as folder:
            arrays = Path(folder, "samples.npz")
            np.savez(arrays, calibration=calibration, golden=golden)
            request = {**request, "samples": str(arrays), "folder": folder}
            made = run_isolated(worker, request, timeout_s, {"TF_CPP_MIN_LOG_LEVEL": "2"})
            for member in made["members"].values():
                member["content"] = Path(member["content"]).read_bytes()
            with np.load(made["golden"]) as named:
                made["golden"] = dict(named)
            return made
    except (EngineCrash, EngineTimeout) as error:
        hint = "the converter can't do every graph; see which layers the network holds"
        failed = f"conversion of {request['part']} to {request['format']} failed: {error.message}"
        raise ConversionError(failed, hint=hint) from None


def _file(run: Run, part: str, kind: str, made: dict[str, Any], golden: np.ndarray) -> Artifact:
    """An artifact of one file."""
    model = _finished(made["members"]["network"], step=part == "encoder")
    inputs, outputs = (
        list(map(Port.of, ends)) for ends in (flatbuffer.graph_inputs(model), flatbuffer.graph_outputs(model))
    )
    facts = {"part": part, "format": kind, "system": run.info["system"], "features": run.settings.to_dict()}
    if part == "encoder":
        facts |= _step_facts(run, Stream.from_dict(made["stream"]), inputs)
    else:
        facts |= {
            "labels": _labels(run, part),
            "output": "logits" if part == "scenes" else "probabilities",
            "decoding": _decoding(run, part),
            "audio_seconds": run.settings.seconds(golden.shape[1]),
        }
    facts |= origin(run)
    facts |= {key: made[key] for key in ("frames_per_embedding",) if key in made}
    arrays = made["golden"]
    rows = [
        tuple(arrays[p.name] if arrays[p.name].dtype == p.dtype else p.quantize(arrays[p.name]) for p in ports)
        for ports in (inputs, outputs)
    ]
    return Artifact.of_member(Member.build("network", model, facts), Golden.of_rows(*rows))


def _streaming(run: Run, part: str, kind: str, made: dict[str, Any]) -> Artifact:
    """A streaming artifact."""
    wiring, system, members = Wiring.from_dict(made["wiring"]), run.info["system"], {}
    require_ring(wiring, run.settings.hop_s, run.recipe.decode.longest_median_s(run.labels.events))
    calls = wiring.calls_per_second(run.settings.frame_rate)
    for name in wiring.members:
        converted, first = made["members"][name], name == wiring.encoder
        model = _finished(converted, step=first, shares_arena=not first)
        about: dict[str, Any] = {"part": f"stream/{name}"}
        if first:
            step = _step_facts(run, wiring.stream, list(map(Port.of, flatbuffer.graph_inputs(model))))
            about |= {"format": converted["format"], "system": system}
            about |= {key: step[key] for key in ("audio_seconds", "stream", "state_bytes")}
        else:
            about |= {"system": system, "audio_seconds": 1 / calls[name], "format": converted["format"]}
        members[name] = Member.build(name, model, about)
    facts = {
        "part": part,
        "format": kind,
        **({"cells": _cells(run)} if wiring.recurrent else {}),
        "system": system,
        "features": run.settings.to_dict(),
        "labels": _labels(run, part),
        "decoding": _decoding(run, part),
        **origin(run),
        "audio_seconds": 1.0,
    }
    outputs = dict(made["golden"])
    return Artifact.streaming(members, wiring, facts, Golden({"recording": outputs.pop("recording")}, outputs))


def require_ring(wiring: Wiring, hop_s: float, median_s: float) -> None:
    """Refuses a ring of events, as long as their clips, that is shorter than the longest of their median filters.

    Raises:
        ConversionError: it is.
    """
    ring_s = wiring.event_ring * wiring.stream.stride * hop_s
    if wiring.event_ring and median_s > ring_s:
        raise ConversionError(
            f"the median filter of the events, {median_s:g} s, is longer than their clips of {ring_s:g} s",
            hint="train with a longer data.event_clip_s, or a shorter decode.median_s",
        )


def _finished(converted: dict[str, Any], step: bool, shares_arena: bool = False) -> Any:
    """Patches, audits and names what the converter gave for a file.

    Args:
        converted: what the worker gives for it.
        step: whether it is a step of an encoder.
        shares_arena: whether other members use its arena in their turn: what each keeps for good adds up, what is
            planned they share.
    """
    kind, model = converted["format"], flatbuffer.read_model(converted["content"])
    if kind == "int16x8":
        if step:
            concatenate_sums(model)
        patch_int16x8(model)
    if kind in SCHEMES:
        require_integer_only(model)
    else:
        fill_loop_starts(model)
    if shares_arena:
        transpose_before_matmul(model)
    name_ports(model, tuple(converted["inputs"]), tuple(converted["outputs"]))
    return model


def _step_facts(run: Run, stream: Stream, inputs: list[Port]) -> dict[str, Any]:
    """The facts of one step of an encoder, beside those of every artifact."""
    return {
        "output": "embedding",
        "audio_seconds": stream.stride * run.settings.hop_s,
        "stream": stream.to_dict(),
        "latency_s": round(stream.latency * stream.stride * run.settings.hop_s, 6),
        "first_exact_step": stream.latency + stream.warm_up,
        "state_bytes": sum(port.elements * port.element_bytes for port in inputs[1:]),
    }


def _golden_samples(run: Run, part: str, schedule: str) -> np.ndarray:
    """Normalised log-mel that golden data are made from: clips [n, frames, mel_bands], or a recording of them.

    Raises:
        RunError: the run holds none.
    """
    samples = run.samples()
    if schedule == "clip" and part != "encoder":
        clips = samples.golden if part == "scenes" else samples.golden_events
    elif "events" in TASKS[part] and not len(samples.golden_events):
        clips = samples.golden_events
    else:
        clips = golden_recording(samples)
    if not len(clips):
        raise RunError(f"{run.path} holds no golden clips of {part}", hint="train it again with this version")
    return clips[:_STEP_FRAMES] if part == "encoder" else clips


def golden_recording(samples: Samples) -> np.ndarray:
    """Clips one after the other: log-mel [frames, mel_bands], empty where there are none.

    Args:
        samples: event clips are taken where there are some; else scene clips; from the first on again when they end.
    """
    events = samples.golden_events[: _RECORDED_CLIPS["events"]]
    if len(events):
        least = math.ceil(_LEAST_SCENE_CLIPS * samples.golden.shape[1] / events.shape[1])
        return np.concatenate(events[np.arange(max(len(events), least)) % len(events)])
    if not len(samples.golden):
        return np.zeros((0, 0), np.float32)
    return np.concatenate(samples.golden[np.arange(_RECORDED_CLIPS["scenes"]) % len(samples.golden)])


def _labels(run: Run, part: str) -> dict[str, list[str]]:
    return run.labels.of(TASKS[part]).to_dict()


def _decoding(run: Run, part: str) -> dict[str, Any]:
    """How events are decoded and scenes are smoothed: of a part without events, nothing of their classes."""
    decoding = run.recipe.decode
    return asdict(decoding if "events" in TASKS[part] else replace(decoding, classes={}))


def _cells(run: Run) -> str | None:
    """The scheme of a quantized run's recurrent cells; None where it has none."""
    return run.info.get("quantization", {}).get("cells")
