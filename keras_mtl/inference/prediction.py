"""The prediction stage: a recording of any length in, its scene and its events out, in constant memory."""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from keras_mtl.core import EVENTS, DataError
from keras_mtl.datasets.audio import audio_format, mono_blocks
from keras_mtl.decoding import Change, Event, EventDecoder, Grid, decoder_numbers, events_of
from keras_mtl.features import LogMelStream
from keras_mtl.inference.batching import EventHearing, SceneHearing
from keras_mtl.inference.overview import Overview
from keras_mtl.inference.predictor import Listener

#: Rows of levels and of probabilities that a prediction keeps at most; more are thinned.
MOST_ROWS = 1 << 14
#: Seconds whose mean is one step in the course of the scenes.
SCENE_WINDOW_S = 10

#: Recordings of so many seconds have a bar.
BAR_FROM_S = 120
_LEAST_S = 0.1


@dataclass(frozen=True)
class Prediction:
    """What was heard in one recording.

    Attributes:
        path: the recording.
        duration_s: its length.
        tasks: what was listened for: some of "scenes" and "events".
        levels: its log-mel levels in dB [rows, mel_bands]: each frame, or of more than `MOST_ROWS` frames means of
            neighbours. None where no picture was asked for.
        scene_scores: mean probability of each scene over the seconds of the recording, or of a streaming set the part
            of the time in which each was believed; None where scenes are not heard.
        scenes: the scenes one after the other with their mean probability, neighbours being different ones.
        probabilities: frame probabilities [rows, events]: of each embedding, or of more than `MOST_ROWS` embeddings the
            largest of neighbours. None where events are not heard, no picture was asked for, or a streaming set heard.
        grid: the grid of `probabilities`.
        events: decoded events with their scores, by onset.
    """

    path: Path
    duration_s: float
    tasks: tuple[str, ...]
    levels: np.ndarray | None
    scene_scores: dict[str, float] | None
    scenes: tuple[tuple[Event, float], ...]
    probabilities: np.ndarray | None
    grid: Grid | None
    events: tuple[tuple[Event, float], ...]

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
        }


def predict(
    listener: Listener,
    path: str | Path,
    *,
    picture: bool = True,
    scene_window_s: int = SCENE_WINDOW_S,
    progress: bool = False,
) -> Prediction:
    """Hears one recording, block by block.

    The log-mel is one for the whole recording. Events are heard in overlapping windows of ten seconds (of an artifact:
    of its own length), joined as `windows` says, and decoded over all of it. Scenes are heard in windows of one
    second.

    Args:
        listener: the network.
        path: a sound file of any length, rate and number of channels.
        picture: whether to keep levels and probabilities.
        scene_window_s: whole seconds of one step in the course of the scenes.
        progress: whether to show a bar on stderr for a recording of minutes.

    Raises:
        DataError: not a sound file, or shorter than a tenth of a second.
    """
    path, settings = Path(path), listener.settings
    announced_s = audio_format(path).seconds
    scenes = SceneHearing(listener, scene_window_s) if listener.scene_logits is not None else None
    events = _Events(listener, picture) if listener.event_probabilities is not None else None
    picture_of_levels = Overview(MOST_ROWS, np.mean) if picture else None
    log_mel = LogMelStream(settings) if picture or events else None
    samples = seen = 0
    quiet = None if progress and announced_s >= BAR_FROM_S else True
    with tqdm(total=round(announced_s), desc=path.name, unit="s", file=sys.stderr, disable=quiet) as bar:
        for block in mono_blocks(path, settings.sample_rate_hz):
            samples += len(block)
            if scenes is not None:
                scenes.push(block)
            if log_mel is not None:
                levels = log_mel.push(block)
                seen += len(levels)
                if picture_of_levels is not None:
                    picture_of_levels.push(levels)
                if events is not None:
                    events.push(levels)
            bar.update(samples // settings.sample_rate_hz - bar.n)
        duration_s, frames = samples / settings.sample_rate_hz, -(-samples // settings.hop)
        require_long_enough(path, duration_s)
        found = Prediction(path, duration_s, listener.tasks, None, None, (), None, None, ())
        if log_mel is not None:
            levels = log_mel.finish(events.hearing.frames_wanted(frames) if events is not None else frames)
            if picture_of_levels is not None:
                picture_of_levels.push(levels[: frames - seen])
                found = replace(found, levels=picture_of_levels.rows())
            if events is not None:
                found = events.finish(found, frames, levels)
    if scenes is not None:
        scores, course = scenes.finish(duration_s)
        found = replace(found, scene_scores=scores, scenes=course)
    return found


def require_long_enough(path: Path, duration_s: float) -> None:
    """Refuses a recording in which next to nothing can be heard.

    Raises:
        DataError: it is shorter than a tenth of a second.
    """
    if duration_s < _LEAST_S:
        raise DataError(f"{path} holds {duration_s * 1000:.0f} ms of audio", hint="at least 100 ms are needed")


class _Events:
    """Hears and decodes events while levels come."""

    def __init__(self, listener: Listener, picture: bool) -> None:
        settings, decoding = listener.settings, listener.decoding
        self.hearing = EventHearing(listener)
        self._start_s, self._step_s = -settings.hop_s / 2, settings.hop_s * listener.frames_per_embedding
        self._count = 0
        self._picture = Overview(MOST_ROWS, np.max) if picture else None
        self._decoder = EventDecoder(len(EVENTS), **decoder_numbers(decoding, self._step_s))
        self._ended: list[Change] = []

    def push(self, levels: np.ndarray) -> None:
        self._take(self.hearing.push(levels))

    def finish(self, found: Prediction, frames: int, levels: np.ndarray) -> Prediction:
        self._take(self.hearing.finish(frames, levels))
        grid = Grid(self._step_s, self._start_s, self._count, found.duration_s)
        changes = [*self._ended, *self._decoder.finish()]
        found = replace(found, events=tuple(events_of(changes, grid, EVENTS)))
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
