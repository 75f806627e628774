"""What the manifest of a streaming set says beside any set's: rings, latency of each task, smoothing of the scenes."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from keras_mtl.decoding import median_frames
from keras_mtl.errors import ArtifactError
from keras_mtl.features import LogMelSettings
from keras_mtl.tflite.artifact import Artifact
from keras_mtl.tflite.stream_set_wiring import StreamWiring
from keras_mtl.tflite.wiring import Wiring
from keras_mtl.timeline import Grid


def stream_told(encoder: Artifact, wiring: StreamWiring, facts: Mapping[str, Any]) -> dict[str, Any]:
    """The keys of a manifest that follow from the wiring.

    Args:
        encoder: the set's step of an encoder.
        wiring: of the set.
        facts: the manifest's `features` and `decoding`.

    Returns:
        `rings`: of each decoder that reads one `embeddings`, `seconds`, `hop_steps`, `hop_s`, and of the events
        `kept_from` and `kept_to` (the answers of a full ring that are kept); `latency_s` of each task; `buffers`: the
        bytes of the encoder's states.
    """
    settings = LogMelSettings.from_dict(facts["features"])
    step_s = wiring.stream.stride * settings.hop_s
    rings: dict[str, Any] = {}
    if wiring.scene_ring:
        rings["scenes"] = _ring(wiring.scene_ring, wiring.scene_hop, step_s)
    if wiring.event_ring:
        rings["events"] = _ring(wiring.event_ring, wiring.event_hop, step_s) | wiring.kept()
    taken = {state.taken for state in wiring.stream.states}
    states = [port for port in encoder.manifest["inputs"] if port["name"] in taken]
    state_bytes = sum(math.prod(port["shape"]) * np.dtype(port["dtype"]).itemsize for port in states)
    return {
        "rings": rings,
        "latency_s": latency_s(wiring, settings, facts["decoding"]["median_s"] if wiring.recurrent else 0.0),
        "buffers": {"encoder_states": state_bytes},
    }


def latency_s(wiring: StreamWiring, settings: LogMelSettings, median_s: float) -> dict[str, float]:
    """The longest that a sound waits for each task's answer, in seconds; the time to compute it comes on top.

    It is half a window of the features, the encoder's steps, the time until the decoder's turn, and of the events half
    the median filter. How long the smoothing holds a scene is not in it.

    Args:
        wiring: of the set.
        settings: its features.
        median_s: length of the events' median filter.
    """
    step_s, front_s = wiring.stream.stride * settings.hop_s, settings.fft / 2 / settings.sample_rate_hz
    filtered = {"events": median_frames(median_s, Grid(step_s, 0.0, 1, step_s)) // 2}
    return {
        task: round(front_s + (steps + filtered.get(task, 0)) * step_s, 6) for task, steps in wiring.waits().items()
    }


def require_smoothing(manifest: Mapping[str, Any], wiring: Wiring) -> None:
    """Refuses the manifest of a streaming set with scenes that does not say how they are smoothed.

    Raises:
        ArtifactError: `smoothing` is missing or out of range.
    """
    if not isinstance(wiring, StreamWiring) or not wiring.scene_ring:
        return
    said: Any = manifest.get("smoothing")
    sound = isinstance(said, dict) and {*said} == {"weight", "hold"} and type(said["hold"]) is int
    if not sound or not (isinstance(said["weight"], float | int) and 0 < said["weight"] <= 1 and said["hold"] >= 1):
        raise ArtifactError("the smoothing of the set's scenes can't be used", hint="convert the run again")


def _ring(embeddings: int, hop: int, step_s: float) -> dict[str, Any]:
    seconds = {"seconds": round(embeddings * step_s, 6), "hop_steps": hop, "hop_s": round(hop * step_s, 6)}
    return {"embeddings": embeddings} | seconds
