"""Turns what a user names (a run folder, a `.keras` file in one, a `.tflite` artifact) into a listener."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from keras_mtl.errors import ArtifactError, RunError
from keras_mtl.features import LogMelSettings
from keras_mtl.levels import AnyLevels
from keras_mtl.listener import Listener
from keras_mtl.recipes.settings import DecodeSettings

if TYPE_CHECKING:
    from keras_mtl.tflite.artifact import Artifact

_FRAMES_AT_A_TIME = 30_000


def open_listener(path: Path, engine: str = "litert") -> Listener:
    """Opens a run folder, the `.keras` file of one, an artifact of the scene or the event part, or a set of artifacts.

    Args:
        path: what the user named.
        engine: the interpreter for an artifact.

    Raises:
        RunError, ArtifactError: it is neither, or can't be read.
    """
    from keras_mtl.tflite.artifact_set import is_set

    if path.suffix == ".tflite":
        return _artifact(path, engine)
    if is_set(path):
        from keras_mtl.cli.set_listener import listen_with_set

        return listen_with_set(path, engine)
    from keras_mtl.network_listener import listen_with_run
    from keras_mtl.run_folder import Run

    if path.suffix == ".keras":
        if not path.is_file():
            raise RunError(f"no file {path}")
        if path.name not in ("network.keras", "qat.keras") or not (path.parent / "run.json").is_file():
            raise RunError(
                f"{path} lies in no run folder, so its features are not known", hint="name the run folder instead"
            )
        path = path.parent
    run = Run.load(path)
    if run.info["stage"] == "qat":
        from keras_mtl.tflite.qat_run import listen_with_qat_run

        return listen_with_qat_run(run)
    return listen_with_run(run)


def _artifact(path: Path, engine: str) -> Listener:
    from keras_mtl.tflite.artifact import Artifact

    artifact = Artifact.load(path)
    part = artifact.manifest.get("part")
    if part not in ("scenes", "events"):
        raise ArtifactError(
            f"{path} is not a scene or event artifact of this project (part: {part})",
            hint="of a set, name the folder or its set.json" if "/" in str(part) else "keras_mtl convert RUN makes one",
        )
    settings = LogMelSettings.from_dict(artifact.manifest["features"])
    if part == "scenes":
        return Listener(settings, lambda levels: _heard(artifact, engine, levels, settings)[0])
    return _event_listener(artifact, engine, settings)


def _event_listener(artifact: Artifact, engine: str, settings: LogMelSettings) -> Listener:
    """A listener of the event part, which takes clips of its own length only."""
    manifest = artifact.manifest
    frames, stride = manifest["inputs"][0]["shape"][1], manifest["frames_per_embedding"]

    def event_probabilities(levels: AnyLevels) -> tuple[np.ndarray, np.ndarray]:
        if levels.shape[1] != frames:
            raise ArtifactError(
                f"the event artifact hears {frames} frames ({manifest['audio_seconds']:g} s) at a time, "
                f"not {levels.shape[1]}",
                hint="give the run folder instead",
            )
        strong, weak = _heard(artifact, engine, levels, settings)
        return strong, weak

    return Listener(settings, None, event_probabilities, stride, DecodeSettings(**manifest["decoding"]), frames)


def _heard(artifact: Artifact, engine: str, levels: AnyLevels, settings: LogMelSettings) -> list[np.ndarray]:
    """The real outputs of an artifact for clips of levels in dB [clips, frames, mel_bands], in the file's order.

    Clips go to the engine in parts, each in a process and with a time limit of its own: a split may be large.
    """
    from keras_mtl.firmware_host.engines import run_engine
    from keras_mtl.log_mel import normalise
    from keras_mtl.tflite.artifact import dequantize, quantize

    (port,) = artifact.manifest["inputs"]
    most = max(1, _FRAMES_AT_A_TIME // levels.shape[1])
    parts = []
    for first in range(0, len(levels), most):
        inputs = quantize(normalise(levels[first : first + most], settings), port)
        parts.append(run_engine(engine, artifact.content, [inputs]).outputs)
    ports = artifact.manifest["outputs"]
    return [
        dequantize(np.concatenate(found), port) for found, port in zip(zip(*parts, strict=True), ports, strict=True)
    ]
