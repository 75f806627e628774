"""Splits of a corpus as log-mel with their labels, computed once and kept in the cache.

Log-mel is float16 dB before the scalar normalisation, so that the same files serve every normalisation, and stay on the
disk until a clip is asked for, so that a set larger than memory can be trained on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np

from keras_mtl.core import DataError, LogMelSettings
from keras_mtl.datasets import Corpus
from keras_mtl.datasets.mixing import MixedClips
from keras_mtl.datasets.prepare import Clips
from keras_mtl.decoding import Event
from keras_mtl.features.arrays import AnyLogMel, join, take
from keras_mtl.features.cache import open_log_mel
from keras_mtl.features.log_mel import FrontEnd, LogMel

Split = TypeVar("Split", Clips, Clips | MixedClips)


@dataclass(frozen=True)
class SceneSet:
    """Clips of one scene each.

    Attributes:
        log_mel: float16 [clips, frames, mel_bands], dB.
        scenes: int [clips], index into the corpus's `labels.scenes`.
        devices, recordings, filenames: a string a clip; clips of one recording share its name.
    """

    log_mel: AnyLogMel
    scenes: np.ndarray
    devices: np.ndarray
    recordings: np.ndarray
    filenames: np.ndarray

    def __len__(self) -> int:
        return len(self.scenes)

    def join(self, other: SceneSet) -> SceneSet:
        """Both sets as one."""
        return SceneSet(
            join(self.log_mel, other.log_mel),
            np.concatenate([self.scenes, other.scenes]),
            np.concatenate([self.devices, other.devices]),
            np.concatenate([self.recordings, other.recordings]),
            np.concatenate([self.filenames, other.filenames]),
        )

    def take(self, index: np.ndarray) -> SceneSet:
        """The clips at these places."""
        return SceneSet(
            take(self.log_mel, index),
            self.scenes[index],
            self.devices[index],
            self.recordings[index],
            self.filenames[index],
        )


@dataclass(frozen=True)
class EventSet:
    """Clips with events.

    Attributes:
        log_mel: float16 [clips, frames, mel_bands], dB.
        events: the events of each clip (empty where they are not known).
        weak: float32 [clips, classes], 1 where the class is in the clip (zeros where it is not known).
        filenames: a string a clip.
    """

    log_mel: AnyLogMel
    events: Sequence[Sequence[Event]]
    weak: np.ndarray
    filenames: np.ndarray

    def __len__(self) -> int:
        return len(self.filenames)

    def take(self, index: np.ndarray) -> EventSet:
        """The clips at these places."""
        return EventSet(
            take(self.log_mel, index), [self.events[i] for i in index], self.weak[index], self.filenames[index]
        )

    def clip(self, place: int, passed: int) -> tuple[np.ndarray, Sequence[Event]]:
        """Log-mel [frames, mel_bands] in dB and events of a clip in the given pass over the set: the same in all."""
        return self.log_mel[place], self.events[place]

    def ahead(self, places: Sequence[int], passes: Sequence[int]) -> None:
        """Says which clips will be asked for next, in their order; those that must be made first are begun."""

    def join(self, other: EventSet) -> EventSet:
        """Both sets as one."""
        return EventSet(
            join(self.log_mel, other.log_mel),
            [*self.events, *other.events],
            np.concatenate([self.weak, other.weak]),
            np.concatenate([self.filenames, other.filenames]),
        )


def scene_set(
    corpus: Corpus,
    split: str,
    settings: LogMelSettings,
    cache: Path,
    front_end: Callable[[LogMelSettings], FrontEnd] = LogMel,
) -> SceneSet:
    """A split of the scene task; `front_end` as of `open_log_mel`.

    Raises:
        DataError: the corpus does not have it, or is opened at another rate than the features'.
    """
    clips = _split(corpus.scenes, split, corpus, "scene (TAU)", settings)
    return scenes_of(clips, corpus.key, settings, cache, front_end)


def scenes_of(
    clips: Clips,
    key: str,
    settings: LogMelSettings,
    cache: Path,
    front_end: Callable[[LogMelSettings], FrontEnd] = LogMel,
) -> SceneSet:
    """Scene clips as a set; `key` and `front_end` as of `open_log_mel`."""
    opened = open_log_mel(clips, key, settings, cache, front_end=front_end)
    log_mel, labels = opened.log_mel, opened.labels
    columns = [np.asarray([row[key] for row in labels]) for key in ("device", "recording", "filename")]
    return SceneSet(log_mel, np.asarray([row["scene"] for row in labels], np.int32), *columns)


def event_set(
    corpus: Corpus,
    split: str,
    settings: LogMelSettings,
    cache: Path,
    front_end: Callable[[LogMelSettings], FrontEnd] = LogMel,
) -> EventSet:
    """A split of the event task; `front_end` as of `open_log_mel`.

    Raises:
        DataError: the corpus does not have it, or is opened at another rate than the features'.
    """
    clips = _split(corpus.events, split, corpus, "event (DESED)", settings)
    opened = open_log_mel(clips, corpus.key_of(clips), settings, cache, front_end=front_end)
    log_mel, labels = opened.log_mel, opened.labels
    names = corpus.labels.events
    events = [[Event(on, off, names[label]) for on, off, label in row["events"]] for row in labels]
    weak = np.asarray([row["weak"] for row in labels], np.float32)
    return EventSet(log_mel, events, weak, np.asarray([row["filename"] for row in labels]))


def log_mel_statistics(sets: Iterable[AnyLogMel], most_clips: int = 2000) -> tuple[float, float]:
    """Mean and standard deviation in dB over all values of the given arrays (evenly spaced clips of each)."""
    total = count = square = 0.0
    for log_mel in sets:
        for part in np.array_split(np.unique(np.linspace(0, len(log_mel) - 1, most_clips).astype(int)), 16):
            values = np.asarray(log_mel[part], np.float64)
            total, square, count = total + values.sum(), square + (values**2).sum(), count + values.size
    mean = total / count
    return float(mean), float(np.sqrt(square / count - mean**2))


def _split(splits: Mapping[str, Split], name: str, corpus: Corpus, task: str, settings: LogMelSettings) -> Split:
    if corpus.sample_rate_hz != settings.sample_rate_hz:
        raise DataError(
            f"{corpus.name} is opened at {corpus.sample_rate_hz} Hz, the features want {settings.sample_rate_hz} Hz",
            hint=f"open_corpus(..., sample_rate_hz={settings.sample_rate_hz})",
        )
    if name not in splits or splits[name].count == 0:
        have = ", ".join(sorted(splits)) or "none"
        raise DataError(f"{corpus.name}: no {task} data of split {name} (there: {have})", hint="see docs/data.md")
    return splits[name]
