"""The prediction stage: a recording of any length in, its scene and its events out, in constant memory."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from keras_mtl.core import DataError
from keras_mtl.datasets.audio import LevelMeter, audio_format, mono_blocks
from keras_mtl.decoding import Change, Event, EventDecoder, Grid, decoder_numbers, events_of
from keras_mtl.features import LogMelStream
from keras_mtl.inference.overview import Overview
from keras_mtl.inference.predictor import Predictor
from keras_mtl.inference.windows import EventInference, SceneInference

#: Rows of log-mel and of probabilities that a prediction keeps at most; more are thinned.
MOST_ROWS = 1 << 14
#: Seconds whose mean is one step in the course of the scenes.
SCENE_WINDOW_S = 10

#: Recordings of so many seconds have a bar.
_BAR_FROM_S = 120
_LEAST_S = 0.1


@dataclass(frozen=True)
class Prediction:
    """The scenes and events of one recording.

    Attributes:
        path: the recording.
        duration_s: its length.
        tasks: what was predicted: some of "scenes" and "events".
        log_mel: its log-mel in dB [rows, mel_bands]: each frame, or of more than `MOST_ROWS` frames means of
            neighbours. None where no picture was asked for.
        scene_scores: mean probability of each scene over the seconds of the recording, or of a streaming artifact the
            part of the time of each; None without scenes.
        scenes: the scenes one after the other with their mean probability, neighbours being different ones.
        probabilities: frame probabilities [rows, events]: of each embedding, or of more than `MOST_ROWS` embeddings the
            largest of neighbours. None without events or a picture, and of a streaming artifact.
        grid: the grid of `probabilities`.
        events: decoded events with their scores, by onset.
        classes: the events that could be predicted, in the order of `probabilities`.
        warnings: what was lost by reading the recording as mono in [-1, 1], in words.
    """

    path: Path
    duration_s: float
    tasks: tuple[str, ...]
    log_mel: np.ndarray | None
    scene_scores: dict[str, float] | None
    scenes: tuple[tuple[Event, float], ...]
    probabilities: np.ndarray | None
    grid: Grid | None
    events: tuple[tuple[Event, float], ...]
    classes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def scene(self) -> str | None:
        """The scene with the highest score."""
        return max(self.scene_scores, key=self.scene_scores.__getitem__) if self.scene_scores else None

    def to_dict(self) -> dict[str, Any]:
        """As plain values, for JSON."""
        return {
            "file": str(self.path),
            "duration_s": round(self.duration_s, 3),
            "scene": self.scene,
            "scene_scores": self.scene_scores,
            "scenes": _rows(self.scenes) if "scenes" in self.tasks else None,
            "events": _rows(self.events) if "events" in self.tasks else None,
            "warnings": list(self.warnings),
        }


def predict(
    predictor: Predictor,
    path: str | Path,
    *,
    picture: bool = True,
    scene_window_s: int = SCENE_WINDOW_S,
    progress: bool = False,
) -> Prediction:
    """Predicts one recording, block by block.

    The log-mel is one for the whole recording. Event probabilities are means over overlapping windows as long as the
    training clips (ten seconds), decoded over all of it. Scenes are predicted clip by clip, of the length of the
    training clips (a second).

    Args:
        predictor: the network.
        path: a sound file of any length, rate and number of channels.
        picture: whether to keep log-mel and probabilities.
        scene_window_s: seconds of one step in the course of the scenes, rounded to whole scene clips.
        progress: whether to show a bar on stderr for a recording of minutes.

    Raises:
        DataError: not a sound file, or shorter than a tenth of a second.
    """
    path, settings = Path(path), predictor.settings
    scenes = SceneInference(predictor, scene_window_s) if predictor.scene_logits is not None else None
    events = _Events(predictor, picture) if predictor.event_probabilities is not None else None
    overview = Overview(MOST_ROWS, np.mean) if picture else None
    stream = LogMelStream(settings) if picture or events else None
    samples, seen, meter = 0, 0, LevelMeter()
    for block in recording_blocks(path, settings.sample_rate_hz, progress, meter):
        samples += len(block)
        if scenes is not None:
            scenes.push(block)
        if stream is not None:
            log_mel = stream.push(block)
            seen += len(log_mel)
            if overview is not None:
                overview.push(log_mel)
            if events is not None:
                events.push(log_mel)
    duration_s, frames = samples / settings.sample_rate_hz, -(-samples // settings.hop)
    found = Prediction(path, duration_s, predictor.tasks, None, None, (), None, None, (), predictor.labels.events)
    if stream is not None:
        log_mel = stream.finish(events.inference.frames_wanted(frames) if events is not None else frames)
        if overview is not None:
            overview.push(log_mel[: frames - seen])
            found = replace(found, log_mel=overview.rows())
        if events is not None:
            found = events.finish(found, frames, log_mel)
    if scenes is not None:
        scores, course = scenes.finish(duration_s)
        found = replace(found, scene_scores=scores, scenes=course)
    return replace(found, warnings=meter.levels().warnings)


def recording_blocks(path: Path, rate_hz: int, progress: bool, meter: LevelMeter | None = None) -> Iterator[np.ndarray]:
    """A recording block by block, float32 [samples] at `rate_hz`, with a bar on stderr for one of minutes.

    What is given as `meter` measures it.

    Raises:
        DataError: not a sound file; or, at its end, it is shorter than a tenth of a second.
    """
    announced_s, samples = audio_format(path).seconds, 0
    quiet = None if progress and announced_s >= _BAR_FROM_S else True
    with tqdm(total=round(announced_s), desc=path.name, unit="s", file=sys.stderr, disable=quiet) as bar:
        for block in mono_blocks(path, rate_hz, meter):
            samples += len(block)
            yield block
            bar.update(samples // rate_hz - bar.n)
    if samples / rate_hz < _LEAST_S:
        raise DataError(f"{path} holds {samples / rate_hz * 1000:.0f} ms of audio", hint="at least 100 ms are needed")


class _Events:
    """Predicts and decodes events of log-mel that comes in parts."""

    def __init__(self, predictor: Predictor, picture: bool) -> None:
        settings, decoding = predictor.settings, predictor.decoding
        self.inference = EventInference(predictor)
        self._start_s, self._step_s = -settings.hop_s / 2, settings.hop_s * predictor.frames_per_embedding
        self._count = 0
        self._picture = Overview(MOST_ROWS, np.max) if picture else None
        self._names = predictor.labels.events
        self._decoder = EventDecoder(len(self._names), **decoder_numbers(decoding, self._names, self._step_s))
        self._ended: list[Change] = []

    def push(self, log_mel: np.ndarray) -> None:
        self._take(self.inference.push(log_mel))

    def finish(self, found: Prediction, frames: int, log_mel: np.ndarray) -> Prediction:
        self._take(self.inference.finish(frames, log_mel))
        grid = Grid(self._step_s, self._start_s, self._count, found.duration_s)
        changes = [*self._ended, *self._decoder.finish()]
        found = replace(found, events=tuple(events_of(changes, grid, self._names)))
        if self._picture is None:
            return found
        rows = self._picture.rows()
        grid = replace(grid, step_s=self._step_s * self._picture.step, count=len(rows))
        return replace(found, probabilities=rows, grid=grid)

    def _take(self, probabilities: np.ndarray) -> None:
        self._count += len(probabilities)
        if len(probabilities):
            self._ended += [change for change in self._decoder.push(probabilities) if change.ended]
            if self._picture is not None:
                self._picture.push(probabilities)


def _rows(found: tuple[tuple[Event, float], ...]) -> list[dict[str, Any]]:
    return [
        {"onset_s": round(e.onset_s, 3), "offset_s": round(e.offset_s, 3), "label": e.label, "score": round(score, 4)}
        for e, score in found
    ]
