"""Turns what a user names (a run folder, a `.keras` file in one, an artifact) into a predictor."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from keras_mtl.core import ArtifactError, RunError
from keras_mtl.features import AnyLogMel, normalise
from keras_mtl.firmware_host.engines import EngineRun, run
from keras_mtl.inference import Predictor
from keras_mtl.tflite.artifact import Artifact, is_folder


def open_predictor(path: Path, engine: str = "litert") -> Predictor:
    """Opens a run folder, the `.keras` file of one, or an artifact: a `.tflite` file or the folder of a streaming one.

    Raises:
        RunError, ArtifactError: it is neither, or can't be read.
    """
    if path.suffix == ".tflite" or is_folder(path):
        return artifact_predictor(Artifact.load(path), engine, str(path))
    from keras_mtl.inference import run_predictor
    from keras_mtl.runs import Run

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
        from keras_mtl.tflite.quantize import quantized_predictor

        return quantized_predictor(run)
    return run_predictor(run)


#: What one process takes at a time, and has a time limit for: frames of clips; clips of a stream for either task.
_FRAMES_AT_A_TIME = 30_000
_CLIPS_AT_A_TIME = {"scene_clips": 200, "event_clips": 10}


def artifact_predictor(artifact: Artifact, engine: str = "litert", name: str = "the artifact") -> Predictor:
    """A predictor of an artifact of the scene, the event or the joint part.

    Raises:
        ArtifactError: it is neither: a file of others, an encoder alone, or one member of a streaming artifact.
    """
    part = artifact.facts.part
    if part not in ("scenes", "events", "joint"):
        raise ArtifactError(
            f"{name} is not an artifact of scenes or events of this project (part: {part})",
            hint="name the folder of the streaming artifact"
            if part.startswith("stream/")
            else "keras_mtl convert RUN makes one",
        )
    network = _Network(artifact, engine)
    settings, decoding = network.settings, artifact.facts.decoding
    if part == "scenes" and not artifact.streams:
        return Predictor(settings, lambda log_mel_db: network.rows(log_mel_db)[0])
    if not artifact.streams:
        stride, frames = artifact.facts.values["frames_per_embedding"], artifact.network.inputs[0].shape[1]
        return Predictor(settings, None, network.event_rows, stride, decoding, frames)
    wiring = artifact.wiring
    scenes = network.scene_clips if wiring.scene_head else None
    if not wiring.classifiers:
        return Predictor(settings, scenes, decoding=decoding)
    return Predictor(settings, scenes, network.event_clips, wiring.stream.stride, decoding)


class _Network:
    """The outputs of an artifact for clips of log-mel in dB [clips, frames, mel_bands]."""

    def __init__(self, artifact: Artifact, engine: str) -> None:
        self._artifact, self._engine, self.settings = artifact, engine, artifact.facts.features

    def rows(self, log_mel_db: AnyLogMel) -> list[np.ndarray]:
        """Real values of each output of the one file, in its order."""
        ports = self._artifact.network.outputs
        found = self._run("input_0", log_mel_db, max(1, _FRAMES_AT_A_TIME // log_mel_db.shape[1]))
        return [port.dequantize(found[f"output_{number}"]) for number, port in enumerate(ports)]

    def event_rows(self, log_mel_db: AnyLogMel) -> tuple[np.ndarray, np.ndarray]:
        """Probabilities of the steps and of the clips by the one file, whose clips have a length of their own."""
        frames = self._artifact.network.inputs[0].shape[1]
        if log_mel_db.shape[1] != frames:
            raise ArtifactError(
                f"the event artifact takes {frames} frames ({self._artifact.facts.audio_seconds:g} s) at a time, "
                f"not {log_mel_db.shape[1]}",
                hint="give the run folder instead",
            )
        strong, weak = self.rows(log_mel_db)
        return strong, weak

    def scene_clips(self, log_mel_db: AnyLogMel) -> np.ndarray:
        """The last logits of each clip [clips, scenes] by the streaming artifact."""
        second = self._artifact.wiring.scene_ring * self._artifact.wiring.stream.stride
        if log_mel_db.shape[1] != second:
            raise ArtifactError(f"the scene decoder takes {second} frames at a time, not {log_mel_db.shape[1]}")
        return self._run("scene_clips", log_mel_db, _CLIPS_AT_A_TIME["scene_clips"])["scenes"]

    def event_clips(self, log_mel_db: AnyLogMel) -> tuple[np.ndarray, np.ndarray]:
        """Probabilities of the steps [clips, steps, events] and of the clips [clips, events] of a stream."""
        found = self._run("event_clips", log_mel_db, _CLIPS_AT_A_TIME["event_clips"])
        return found["strong"], found["weak"]

    def _run(self, kind: str, log_mel_db: AnyLogMel, most: int) -> dict[str, np.ndarray]:
        port = self._artifact.network.inputs[0]

        def one(first: int) -> EngineRun:
            values = port.quantize(normalise(log_mel_db[first : first + most], self.settings)[..., None])
            return run(self._engine, self._artifact, {kind: values})

        # Threads only wait here: each part runs in a process of its own.
        with ThreadPoolExecutor(max_workers=os.cpu_count() or 1) as pool:
            found = [each.outputs for each in pool.map(one, range(0, len(log_mel_db), most))]
        return {name: np.concatenate([each[name] for each in found]) for name in found[0]}
