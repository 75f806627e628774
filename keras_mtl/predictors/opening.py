"""Turns what a user names (a run folder, a `.keras` file in one, an artifact) into a predictor."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np

from keras_mtl.core import ArtifactError, RunError, read
from keras_mtl.datasets import Corpus, DataSettings, open_corpus
from keras_mtl.features import AnyLogMel, normalise
from keras_mtl.firmware_host.engines import EngineRun, run
from keras_mtl.inference import Predictor
from keras_mtl.predictors.foreign import require_own
from keras_mtl.tflite.artifact import Artifact, Facts, is_artifact


def open_predictor(path: Path, engine: str = "litert") -> Predictor:
    """Opens a run folder, the `.keras` file of one, or an artifact: a `.tflite` file or the folder of a streaming one.

    Raises:
        RunError, ArtifactError: it is neither, or can't be read.
    """
    if is_artifact(path):
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


def open_for_scoring(predictor: Predictor, data: str, cache: Path) -> Corpus:
    """Opens data as a predictor was trained on them: its rate, clips, split and labels.

    Args:
        predictor: what is to be scored.
        data: as of `open_corpus`.
        cache: the folder that `--cache` of the commands names.

    Raises:
        DataError: as of `open_corpus`.
    """
    return open_corpus(
        data,
        cache / "tfds",
        sample_rate_hz=predictor.settings.sample_rate_hz,
        settings=predictor.data,
        labels=predictor.labels,
        scoring=True,
    )


#: What one process takes at a time, and has a time limit for: frames of clips; of a stream by task.
_FRAMES_AT_A_TIME = 30_000
_STREAM_FRAMES_AT_A_TIME = {"scene_clips": 20_000, "event_clips": 10_000}


def artifact_predictor(artifact: Artifact, engine: str = "litert", name: str = "the artifact") -> Predictor:
    """A predictor of an artifact of the scene, the event or the joint part.

    Raises:
        ArtifactError: it is neither: a file of others, an encoder alone, or one member of a streaming artifact; or a
            file whose manifest has no labels.
    """
    require_own(artifact, name)
    part = artifact.facts.part
    if part not in ("scenes", "events", "joint"):
        raise ArtifactError(
            f"{name} is not an artifact of scenes or events of this project (part: {part})",
            hint="name the folder of the streaming artifact"
            if part.startswith("stream/")
            else "keras_mtl convert RUN makes one",
        )
    network, facts = _Network(artifact, engine), artifact.facts
    if not artifact.streams and not facts.labels.by_task().get(part):
        raise ArtifactError(f"{name} does not name its {part}", hint="keras_mtl convert RUN makes one that does")
    predictor = partial(
        Predictor, network.settings, decoding=facts.decoding, labels=facts.labels, data=data_settings(facts)
    )
    if part == "scenes" and not artifact.streams:
        return predictor(lambda log_mel_db: network.rows(log_mel_db)[0])
    if not artifact.streams:
        stride, frames = facts.values["frames_per_embedding"], artifact.network.inputs[0].shape[1]
        return predictor(None, network.event_rows, stride, event_frames=frames)
    wiring = artifact.wiring
    scenes = network.scene_clips if wiring.scene_head else None
    if not wiring.classifiers:
        return predictor(scenes)
    return predictor(scenes, network.event_clips, wiring.stream.stride)


def data_settings(facts: Facts) -> DataSettings:
    """Which clips of a user's data an artifact was trained on: those of the run that it was made from.

    Raises:
        ArtifactError: its manifest has settings that are none of this version.
    """
    found = (facts.get("data") or {}).get("settings", {})
    return read(DataSettings, found, "the manifest's data.settings", ArtifactError)


class _Network:
    """The outputs of an artifact for clips of log-mel in dB [clips, frames, mel_bands]."""

    def __init__(self, artifact: Artifact, engine: str) -> None:
        self._artifact, self._engine, self.settings = artifact, engine, artifact.facts.features

    def rows(self, log_mel_db: AnyLogMel) -> list[np.ndarray]:
        """Real values of each output of the one file, in its order."""
        ports = self._artifact.network.outputs
        found = self._run("input_0", log_mel_db, _FRAMES_AT_A_TIME)
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
        frames = self._artifact.wiring.scene_ring * self._artifact.wiring.stream.stride
        if log_mel_db.shape[1] != frames:
            raise ArtifactError(f"the scene decoder takes {frames} frames at a time, not {log_mel_db.shape[1]}")
        return self._run("scene_clips", log_mel_db, _STREAM_FRAMES_AT_A_TIME["scene_clips"])["scenes"]

    def event_clips(self, log_mel_db: AnyLogMel) -> tuple[np.ndarray, np.ndarray]:
        """Probabilities of the steps [clips, steps, events] and of the clips [clips, events] of a stream."""
        found = self._run("event_clips", log_mel_db, _STREAM_FRAMES_AT_A_TIME["event_clips"])
        return found["strong"], found["weak"]

    def _run(self, kind: str, log_mel_db: AnyLogMel, most_frames: int) -> dict[str, np.ndarray]:
        port, most = self._artifact.network.inputs[0], max(1, most_frames // log_mel_db.shape[1])

        def one(first: int) -> EngineRun:
            values = port.quantize(normalise(log_mel_db[first : first + most], self.settings)[..., None])
            return run(self._engine, self._artifact, {kind: values})

        # Threads only wait here: each part runs in a process of its own.
        with ThreadPoolExecutor(max_workers=os.cpu_count() or 1) as pool:
            found = [each.outputs for each in pool.map(one, range(0, len(log_mel_db), most))]
        return {name: np.concatenate([each[name] for each in found]) for name in found[0]}
