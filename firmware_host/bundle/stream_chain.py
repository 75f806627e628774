"""The golden chain of a streaming set: a made-up sound, and what a listener makes of it network by network."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from keras_mtl.features import LogMelSettings
from keras_mtl.firmware_host.bundle.chain import Chain, begin_chain
from keras_mtl.firmware_host.bundle.decoded import with_events
from keras_mtl.firmware_host.bundle.set_settings import event_settings
from keras_mtl.firmware_host.engines.process import ENVIRONMENT, MOST_BYTES
from keras_mtl.firmware_host.engines.stream_set_runner import set_request
from keras_mtl.isolation import run_isolated
from keras_mtl.tflite.artifact_set import ArtifactSet

#: Seconds of the golden recording at least, and windows of the scene decoder. It lies in flash, so that it is shorter
#: than the ring of an event decoder of both directions may be; its end then makes the decoder's turn.
_SECONDS, _WINDOWS = 3.0, 2
_WORKER = "keras_mtl.firmware_host.bundle.stream_chain_worker"


def stream_chain(artifacts: ArtifactSet, settings: LogMelSettings, timeout_s: float) -> tuple[Chain, dict[str, int]]:
    """The chain of a streaming set, and the arena in bytes that each member used.

    Args:
        artifacts: the set.
        settings: its features.
        timeout_s: for the run.

    Returns:
        The chain, whose results are, each where there is such a decoder: "embeddings" [steps, size], with those of a
        start that a listener drops; "logits" [calls, scenes]; "scores" and "changes" as of `decoded.with_events`;
        "heard" int32 [results, 5] (see `stream_chain_worker.work`).

    Raises:
        EngineError: TensorFlow Lite Micro does not run a member.
    """
    wiring, manifest = artifacts.stream_wiring, artifacts.manifest
    stride = wiring.stream.stride
    frames = max(round(_SECONDS / settings.hop_s), wiring.stream.latency * stride + _WINDOWS * wiring.windows.frames)
    chain = begin_chain(
        settings, artifacts.members[wiring.encoder].manifest["inputs"][0], -(-frames // stride) * stride
    )
    recorded: dict[str, tuple[str, int]] = {wiring.encoder: ("embeddings", embedding_place(artifacts))}
    smoothing = decoding = None
    if wiring.scene_head:
        recorded[wiring.scene_head] = ("logits", 0)
        smoothing = {"classes": len(manifest["labels"]["scenes"]), **manifest["smoothing"]}
    if wiring.classifiers:
        recorded[wiring.classifiers] = ("strong", 0)
        decoding = {"classes": len(manifest["labels"]["events"]), **event_settings(artifacts)}
    with tempfile.TemporaryDirectory(prefix="keras_mtl_chain_") as name:
        folder = Path(name)
        request: dict[str, Any] = set_request("tflm", artifacts, folder)
        request |= {"recorded": recorded, "smoothing": smoothing, "decoding": decoding}
        np.save(folder / "recording.npy", chain.inputs[: heard_frames(settings, len(chain.waveform))])
        answer = run_isolated(_WORKER, request, timeout_s, ENVIRONMENT, MOST_BYTES)
        with np.load(folder / "chain.npz", allow_pickle=False) as arrays:
            found = {key: arrays[key] for key in arrays}
    chain = replace(chain, results=found)
    if wiring.classifiers:
        dtype = artifacts.members[wiring.classifiers].manifest["outputs"][0]["dtype"]
        chain = with_events(chain, event_settings(artifacts), dtype)
    return chain, answer["arena_bytes"]


def embedding_place(artifacts: ArtifactSet) -> int:
    """Place of the embedding among the encoder's outputs, the others being its next states."""
    wiring = artifacts.stream_wiring
    given = {state.given for state in wiring.stream.states}
    outputs = artifacts.members[wiring.encoder].manifest["outputs"]
    return next(place for place, port in enumerate(outputs) if port["name"] not in given)


def heard_frames(settings: LogMelSettings, samples: int) -> int:
    """Frames that a listener completes of so many samples: without those that reach beyond their end."""
    return max(0, (samples - settings.fft // 2) // settings.hop + 1)
