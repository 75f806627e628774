"""The stage from a quantized run folder to a streaming set of artifacts (no TensorFlow in this process).

The encoder's step, the scene decoder and the one-step cells, with a manifest that says how a device drives them.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from keras_mtl.errors import ConversionError, EngineCrash, EngineTimeout, RunError
from keras_mtl.isolation import run_isolated
from keras_mtl.run_folder import Run, Samples
from keras_mtl.tflite.artifact import Artifact
from keras_mtl.tflite.artifact_set import ArtifactSet
from keras_mtl.tflite.convert_set import finish_member, require_quantized, set_facts, window_frames
from keras_mtl.tflite.stream_convert import PART, finish_step, require_native, step_facts
from keras_mtl.tflite.stream_set_wiring import SCENE_HOP, StreamWiring

_WORKER = "keras_mtl.tflite.stream_set_conversion_worker"
_TIMEOUT_S = 600.0
#: Clips that make the golden recording, one after the other: more than the events' ring holds, and seconds enough for
#: the scene decoder to be called some forty times.
_GOLDEN_CLIPS = {"events": 3, "scenes": 10}
#: How the scene decoder's answers are smoothed: the share of the newest, and the calls before a change is believed.
SMOOTHING = {"weight": 0.3, "hold": 3}


def convert_stream_set(
    run: Run,
    kind: str,
    scene_hop: int | None = None,
    event_hop: int | None = None,
    timeout_s: float = _TIMEOUT_S,
) -> ArtifactSet:
    """Converts a quantized network to a streaming set. The same run gives the same bytes.

    Args:
        run: a run quantized to the format, for one task or both. The set has the decoders of these.
        kind: "int8" or "int16x8".
        scene_hop: steps of the encoder from one call of the scene decoder to the next; by default `SCENE_HOP`.
        event_hop: steps from one turn of a bidirectional event decoder over its ring to the next; by default 23
            of 25 parts of the ring.
        timeout_s: seconds that the converter may take.

    Returns:
        A set of the part "stream". Its manifest has, beside what every set has, what `stream_told` says, and how the
        scenes are smoothed.

    Raises:
        ConversionError: a run that was not quantized so, an encoder that can't go step by step, a converter that
            refused, crashed or hung, or a file that is not integer-only.
        ArtifactError: a hop that is no step, or longer than the ring.
        RunError: the run's samples are missing.
    """
    part, cells = _part(run), run.info.get("quantization", {}).get("cells")
    require_quantized(run, part, kind)
    require_native(run, kind)
    samples = run.samples()
    recording = golden_recording(samples)
    if not len(recording) or (part != "scenes" and not len(samples.golden_events)):
        lacking = "" if part == "scenes" else " of events"
        raise RunError(f"{run.path} holds no golden clips{lacking}", hint="train it again with this version")
    try:
        with tempfile.TemporaryDirectory(prefix="keras_mtl_convert_") as folder:
            arrays = Path(folder, "samples.npz")
            np.savez(arrays, recording=recording)
            request: dict[str, Any] = {"model": str((run.path / "qat.keras").resolve()), "samples": str(arrays)}
            request |= {"folder": folder, "format": kind, "cells": cells, "scenes": part != "events"}
            request |= {"window_frames": window_frames(run), "clip_frames": samples.golden_events.shape[1]}
            request |= {"scene_hop": SCENE_HOP if scene_hop is None else scene_hop, "event_hop": event_hop}
            answer = run_isolated(_WORKER, request, timeout_s, {"TF_CPP_MIN_LOG_LEVEL": "2"})
            contents = {name: Path(each["content"]).read_bytes() for name, each in answer["members"].items()}
            with np.load(answer["golden"]) as named:
                golden = dict(named)
    except (EngineCrash, EngineTimeout) as error:
        hint = "the converter can't do every graph; see which layers the network holds"
        raise ConversionError(f"conversion of {PART} to {kind} failed: {error.message}", hint=hint) from None
    wiring = StreamWiring.from_dict(answer["wiring"])
    members = {name: _member(run, wiring, name, contents[name], answer["members"][name]) for name in wiring.members}
    facts = set_facts(run, part, kind, cells) | {"part": PART, "audio_seconds": 1.0, "smoothing": dict(SMOOTHING)}
    return ArtifactSet.build(members, wiring, facts, golden)


def golden_recording(samples: Samples) -> np.ndarray:
    """Clips one after the other, as a recording is heard: log-mel [frames, mel_bands], empty where there are none.

    Args:
        samples: event clips are taken where there are some; else scene clips, from the first on again when they end.
    """
    events = samples.golden_events[: _GOLDEN_CLIPS["events"]]
    if len(events):
        return np.concatenate(events)
    if not len(samples.golden):
        return np.zeros((0, 0), np.float32)
    return np.concatenate(samples.golden[np.arange(_GOLDEN_CLIPS["scenes"]) % len(samples.golden)])


def _part(run: Run) -> str:
    """The part of a set that the run's tasks make: "scenes", "events" or "joint"."""
    tasks = run.info.get("tasks", ["scenes"])
    if run.info["stage"] == "qat" and "cells" not in run.info.get("quantization", {}):
        return "scenes"  # whatever the run was trained on
    return "joint" if {"scenes", "events"} <= {*tasks} else tasks[0]


def _member(run: Run, wiring: StreamWiring, name: str, content: bytes, worked: dict[str, Any]) -> Artifact:
    if name == wiring.encoder:
        content = finish_step(content, worked["format"], worked)
        facts = step_facts(run, worked["format"], wiring.stream, content)
        kept = ("part", "format", "system", "audio_seconds", "stream", "state_bytes")
        return Artifact.build(content, {key: facts[key] for key in kept} | {"part": f"{PART}/{name}"})
    seconds = 1 / wiring.calls_per_second(run.settings.frame_rate)[name]
    return finish_member(
        content, worked, {"part": f"{PART}/{name}", "system": run.info["system"], "audio_seconds": seconds}
    )
