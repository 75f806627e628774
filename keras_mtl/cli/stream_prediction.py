"""What a streaming set tells of a recording while it comes, gathered as a prediction."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from tqdm import tqdm

from keras_mtl.datasets.audio_stream import audio_format, mono_blocks
from keras_mtl.features import LogMelSettings
from keras_mtl.firmware_host.engines.live_set import LiveSet
from keras_mtl.firmware_host.stream_listener import END, SCENE, Heard
from keras_mtl.log_mel_stream import LogMelStream
from keras_mtl.overview import Overview
from keras_mtl.prediction import BAR_FROM_S, MOST_ROWS, Prediction, require_long_enough
from keras_mtl.timeline import Event

if TYPE_CHECKING:
    from keras_mtl.tflite.artifact_set import ArtifactSet


def predict_by_stream(
    artifacts: ArtifactSet, path: str | Path, *, engine: str = "litert", picture: bool = True, progress: bool = False
) -> Prediction:
    """Hears one recording by a streaming set, as a device would, in constant memory.

    Args:
        artifacts: the set.
        path: a sound file of any length, rate and number of channels.
        engine: the interpreter.
        picture: whether to keep levels.
        progress: whether to show a bar on stderr for a recording of minutes.

    Returns:
        The events with their scores, and the scenes as they were believed; a scene's score is its smoothed probability
        when it was. `scene_scores` are parts of the time in which a scene was believed, None of a recording that ends
        before the first. There are no `probabilities`.

    Raises:
        DataError: not a sound file, or shorter than a tenth of a second.
        EngineError: the interpreter can't run a member, died, or did not answer in time.
    """
    path, settings = Path(path), LogMelSettings.from_dict(artifacts.manifest["features"])
    announced_s = audio_format(path).seconds
    levels, log_mel = Overview(MOST_ROWS, np.mean), LogMelStream(settings)
    heard: list[Heard] = []
    samples = seen = 0
    quiet = None if progress and announced_s >= BAR_FROM_S else True
    with (
        tqdm(total=round(announced_s), desc=path.name, unit="s", file=sys.stderr, disable=quiet) as bar,
        LiveSet(engine, artifacts) as live,
    ):
        for block in mono_blocks(path, settings.sample_rate_hz):
            samples += len(block)
            heard += live.push(block).heard
            if picture:
                frames = log_mel.push(block)
                seen += len(frames)
                levels.push(frames)
            bar.update(samples // settings.sample_rate_hz - bar.n)
        require_long_enough(path, duration_s := samples / settings.sample_rate_hz)
        heard += live.end_recording().heard
    if picture:
        frames_in_all = -(-samples // settings.hop)
        levels.push(log_mel.finish(frames_in_all)[: frames_in_all - seen])
    wiring = artifacts.stream_wiring
    tasks = [("scenes", wiring.scene_head), ("events", wiring.classifiers)]
    scenes = _stretches(heard, duration_s)
    return Prediction(
        path,
        duration_s,
        tuple(task for task, member in tasks if member),
        levels.rows() if picture else None,
        _shares(scenes, artifacts.manifest["labels"]["scenes"]) if wiring.scene_head else None,
        scenes,
        None,
        None,
        tuple(sorted(_events(heard))),
    )


def _events(heard: Iterable[Heard]) -> list[tuple[Event, float]]:
    return [
        (Event(each.onset_s, each.offset_s, each.label), each.score)
        for each in heard
        if each.kind == END and each.offset_s is not None and each.score is not None
    ]


def _stretches(heard: Iterable[Heard], duration_s: float) -> tuple[tuple[Event, float], ...]:
    """The scenes one after the other: each is believed until another one is."""
    changes = [each for each in heard if each.kind == SCENE]
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
