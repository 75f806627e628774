"""Runs a streaming encoder on one engine, in a process of its own; arrays travel as files in a temporary folder."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from keras_mtl.errors import ArtifactError, EngineError
from keras_mtl.firmware_host.engines.process import run_worker
from keras_mtl.firmware_host.engines.refusals import explain
from keras_mtl.firmware_host.engines.runner import ARENA_OFFERED_BYTES, ENGINES, WORKERS
from keras_mtl.tflite import flatbuffer
from keras_mtl.tflite.artifact import Artifact
from keras_mtl.tflite.stream_wiring import Stream

_WORKER = "keras_mtl.firmware_host.engines.stream_worker"


@dataclass(frozen=True, eq=False)
class StreamRun:
    """What one engine heard.

    Attributes:
        engine: its name, one of `ENGINES`.
        version: version of its package.
        embeddings: [embeddings, size] in the file's type, from the first of the stream on.
        arena_bytes: bytes of tensor arena that were used; None for engines without one. The states beside it are the
            manifest's `state_bytes`.
    """

    engine: str
    version: str
    embeddings: np.ndarray
    arena_bytes: int | None = None


def run_stream(
    engine: str,
    artifact: Artifact,
    heard: np.ndarray,
    pushes: Sequence[int] | None = None,
    timeout_s: float = 600.0,
) -> StreamRun:
    """Hears a stretch of audio by a streaming encoder, as a device would.

    Args:
        engine: one of `ENGINES`.
        artifact: of the part "stream".
        heard: log-mel [frames, mel_bands] in the file's input type, or samples [samples], float in [-1, 1] or int16.
        pushes: sizes of the parts in which it comes; all at once by default.
        timeout_s: seconds after which the engine's process is stopped.

    Raises:
        ArtifactError: an artifact of another part, or parts that are more or less than what is heard.
        EngineRefused: the engine said why it can't run it, or isn't installed.
        EngineCrash: its process died.
        EngineTimeout: it did not come back in time.
    """
    if engine not in WORKERS:
        raise EngineError(f"unknown engine {engine}", hint=f"engines are {', '.join(ENGINES)}")
    manifest = artifact.manifest
    if manifest.get("part") != "stream":
        raise ArtifactError(
            f"the artifact is no stream (part: {manifest.get('part')})", hint="convert with --part stream"
        )
    Stream.from_dict(manifest.get("stream"))
    port = manifest["inputs"][0]
    bands, dtype = port["shape"][2], port["dtype"]
    if heard.ndim != 1 and (heard.shape[1:], heard.dtype) != ((bands,), np.dtype(dtype)):
        raise ArtifactError(
            f"log-mel of {list(heard.shape)} {heard.dtype}, where {bands} bands of {dtype} are wanted",
            hint="artifact.quantize makes integers of normalised levels",
        )
    pushes = [len(heard)] if pushes is None else [int(size) for size in pushes]
    if sum(pushes) != len(heard):
        raise ArtifactError(f"parts of {sum(pushes)} frames or samples in all, where there are {len(heard)}")
    with tempfile.TemporaryDirectory(prefix="keras_mtl_stream_") as name:
        folder = Path(name)
        (folder / "model.tflite").write_bytes(artifact.content)
        np.save(folder / "heard.npy", heard)
        request: dict[str, Any] = {key: manifest[key] for key in ("stream", "inputs", "outputs")}
        request |= {"folder": name, "engine": engine, "worker": WORKERS[engine], "pushes": pushes}
        request |= {"arena_bytes": ARENA_OFFERED_BYTES, "features": manifest["features"] if heard.ndim == 1 else None}
        model = flatbuffer.read_model(artifact.content)
        answer = run_worker(engine, _WORKER, request, timeout_s, lambda error: explain(engine, model, error))
        return StreamRun(engine, answer["version"], np.load(folder / "embeddings.npy"), answer["arena_bytes"])
