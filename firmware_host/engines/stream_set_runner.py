"""Runs a streaming set on one engine, in a process of its own; arrays travel as files in a temporary folder."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from keras_mtl.errors import ArtifactError, EngineRefused
from keras_mtl.firmware_host.engines.process import run_worker
from keras_mtl.firmware_host.engines.refusals import explain_set
from keras_mtl.firmware_host.engines.set_runner import SetRun, set_request
from keras_mtl.tflite.artifact import dequantize
from keras_mtl.tflite.artifact_set import ArtifactSet

_WORKER = "keras_mtl.firmware_host.engines.stream_set_worker"


@dataclass(frozen=True, eq=False)
class StreamSetRun(SetRun):
    """What one engine heard by a streaming set.

    Of `SetRun`, `scenes` are the logits [calls, scenes] and `strong` the probabilities [embeddings, events], real
    values; None without the decoder.

    Attributes:
        calls: embeddings heard at each call of the scene decoder, int64 [calls].
        integers: `strong` as the classifiers gave it.
        busy_s: seconds that it took, all in all.
    """

    calls: np.ndarray | None = None
    integers: np.ndarray | None = None
    busy_s: float = 0.0


def run_stream_set(
    engine: str,
    artifacts: ArtifactSet,
    recording: np.ndarray,
    pushes: Sequence[int] | None = None,
    timeout_s: float = 600.0,
) -> StreamSetRun:
    """Hears one recording by a streaming set, from a start to its end, as a device would.

    Args:
        engine: one of `ENGINES`.
        artifacts: the set.
        recording: log-mel [frames, mel_bands] in the encoder's input type.
        pushes: frames of the parts in which it comes; all at once by default.
        timeout_s: seconds after which the engine's process is stopped.

    Raises:
        ArtifactError: a set that hears window by window, or a recording that does not fit.
        EngineRefused: the engine said why it can't run a member, or isn't installed.
        EngineCrash: its process died.
        EngineTimeout: it did not come back in time.
    """
    pushes = [len(recording)] if pushes is None else [int(size) for size in pushes]
    wiring = artifacts.stream_wiring
    port = artifacts.members[wiring.encoder].manifest["inputs"][0]
    wanted, found = (port["shape"][2], port["dtype"]), (recording.shape[-1], str(recording.dtype))
    if recording.ndim != 2 or wanted != found or sum(pushes) != len(recording):
        raise ArtifactError(
            f"a recording of {list(recording.shape)} {recording.dtype} in parts of {sum(pushes)} frames in all",
            hint=f"{wanted[0]} bands of {wanted[1]} are wanted",
        )
    with tempfile.TemporaryDirectory(prefix="keras_mtl_stream_") as name:
        folder = Path(name)
        request = set_request(engine, artifacts, folder) | {"pushes": pushes}
        np.save(folder / "recording.npy", recording)
        answer = run_worker(engine, _WORKER, request, timeout_s, lambda error: explain_set(engine, error))
        calls, scenes, strong = (np.load(folder / f"{key}.npy") for key in ("calls", "scenes", "strong"))
    ports = {name: artifact.manifest["outputs"] for name, artifact in artifacts.members.items()}
    _require_shapes(engine, artifacts, len(recording), calls, scenes, strong)
    return StreamSetRun(
        engine,
        answer["version"],
        answer["arena_bytes"],
        dequantize(scenes, ports[wiring.scene_head][0]) if wiring.scene_ring else None,
        dequantize(strong, ports[wiring.classifiers][0]) if wiring.classifiers else None,
        calls=calls,
        integers=strong if wiring.classifiers else None,
        busy_s=answer["busy_s"],
    )


def _require_shapes(
    engine: str, artifacts: ArtifactSet, frames: int, calls: np.ndarray, scenes: np.ndarray, strong: np.ndarray
) -> None:
    """Refuses what a damaged member gave, whose tensors say otherwise than its operators."""
    wiring = artifacts.stream_wiring
    embeddings = max(0, frames // wiring.stream.stride - wiring.stream.latency)
    wanted = {"scenes": (wiring.scene_head, scenes, len(calls)), "strong": (wiring.classifiers, strong, embeddings)}
    for key, (member, found, rows) in wanted.items():
        if not member or not rows:
            continue
        shape = (rows, *artifacts.members[member].manifest["outputs"][0]["shape"][1:])
        if found.shape != shape:
            raise EngineRefused(f"{engine} gives {key} of shape {list(found.shape)}, not {list(shape)}")
