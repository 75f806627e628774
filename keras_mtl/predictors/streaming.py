"""Prediction of a recording by a streaming artifact, in constant memory."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np

from keras_mtl.datasets.audio import LevelMeter
from keras_mtl.decoding import Event
from keras_mtl.features import LogMelStream
from keras_mtl.firmware_host.device import END, SCENE, Detection
from keras_mtl.firmware_host.engines import LiveSession
from keras_mtl.inference import MOST_ROWS, Overview, Prediction, recording_blocks
from keras_mtl.tflite.artifact import Artifact


def predict_stream(
    artifact: Artifact, path: str | Path, *, engine: str = "litert", picture: bool = True, progress: bool = False
) -> Prediction:
    """Predicts one recording by a streaming artifact, as a device would.

    Args:
        artifact: the streaming artifact.
        path: a sound file of any length, rate and number of channels.
        engine: the interpreter.
        picture: whether to keep log-mel.
        progress: whether to show a bar on stderr for a recording of minutes.

    Returns:
        The events with their scores, and the scenes one after the other; a scene's score is its smoothed probability
        when it began. `scene_scores` are the parts of the time of each scene, None of a recording that ends before
        the first. There are no `probabilities`.

    Raises:
        DataError: not a sound file, or shorter than a tenth of a second.
        EngineError: the interpreter can't run a member, died, or did not come back in time.
    """
    path, settings = Path(path), artifact.facts.features
    rows, log_mel = Overview(MOST_ROWS, np.mean), LogMelStream(settings)
    detections: list[Detection] = []
    samples, seen, meter = 0, 0, LevelMeter()
    with LiveSession(engine, artifact) as live:
        for block in recording_blocks(path, settings.sample_rate_hz, progress, meter):
            samples += len(block)
            detections += live.push(block).detections
            if picture:
                frames = log_mel.push(block)
                seen += len(frames)
                rows.push(frames)
        detections += live.end_recording().detections
    duration_s = samples / settings.sample_rate_hz
    if picture:
        frames_in_all = -(-samples // settings.hop)
        rows.push(log_mel.finish(frames_in_all)[: frames_in_all - seen])
    wiring = artifact.wiring
    tasks = [("scenes", wiring.scene_head), ("events", wiring.classifiers)]
    scenes = _stretches(detections, duration_s)
    return Prediction(
        path,
        duration_s,
        tuple(task for task, member in tasks if member),
        rows.rows() if picture else None,
        _shares(scenes, artifact.facts.labels.scenes) if wiring.scene_head else None,
        scenes,
        None,
        None,
        tuple(sorted(_events(detections))),
        artifact.facts.labels.events,
        meter.levels().warnings,
    )


def _events(detections: Iterable[Detection]) -> list[tuple[Event, float]]:
    return [
        (Event(each.onset_s, each.offset_s, each.label), each.score)
        for each in detections
        if each.kind == END and each.offset_s is not None and each.score is not None
    ]


def _stretches(detections: Iterable[Detection], duration_s: float) -> tuple[tuple[Event, float], ...]:
    """The scenes one after the other: each lasts until the next one begins."""
    changes = [each for each in detections if each.kind == SCENE]
    ends = [*(each.onset_s for each in changes), duration_s][1:]
    return tuple(
        (Event(each.onset_s, end_s, each.label), each.score or 0.0) for each, end_s in zip(changes, ends, strict=True)
    )


def _shares(scenes: Iterable[tuple[Event, float]], labels: Iterable[str]) -> dict[str, float] | None:
    """Parts of the time; None where the recording was too short for any scene."""
    lasted = dict.fromkeys(labels, 0.0)
    for at, _ in scenes:
        lasted[at.label] += at.offset_s - at.onset_s
    total = sum(lasted.values())
    return {label: round(seconds / total, 6) for label, seconds in lasted.items()} if total else None
