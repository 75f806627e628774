"""Splits of a corpus as arrays of log-mel levels with their labels, computed once and kept in the cache.

Levels lie in a `.npy` file that is mapped into memory, as float16 dB before the scalar normalisation, so that the same
file serves every normalisation and a set larger than memory can be trained on.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from keras_mtl import files
from keras_mtl.datasets.corpus import Clips, Corpus
from keras_mtl.errors import DataError
from keras_mtl.features import LogMelSettings
from keras_mtl.labels import EVENTS
from keras_mtl.timeline import Event

_BATCH_SECONDS = 160


@dataclass(frozen=True)
class SceneSet:
    """Clips of one scene each.

    Attributes:
        levels: float16 [clips, frames, mel_bands], dB.
        scenes: int [clips], index into `labels.SCENES`.
        devices, recordings, filenames: a string a clip; clips of one recording share its name.
    """

    levels: np.ndarray
    scenes: np.ndarray
    devices: np.ndarray
    recordings: np.ndarray
    filenames: np.ndarray

    def __len__(self) -> int:
        return len(self.scenes)

    def take(self, index: np.ndarray) -> SceneSet:
        """The clips at these places."""
        return SceneSet(
            self.levels[index], self.scenes[index], self.devices[index], self.recordings[index], self.filenames[index]
        )


@dataclass(frozen=True)
class EventSet:
    """Clips with events.

    Attributes:
        levels: float16 [clips, frames, mel_bands], dB.
        events: the events of each clip (empty where they are not known).
        weak: float32 [clips, classes], 1 where the class is in the clip (zeros where it is not known).
        filenames: a string a clip.
    """

    levels: np.ndarray
    events: Sequence[Sequence[Event]]
    weak: np.ndarray
    filenames: np.ndarray

    def __len__(self) -> int:
        return len(self.filenames)

    def take(self, index: np.ndarray) -> EventSet:
        """The clips at these places."""
        return EventSet(self.levels[index], [self.events[i] for i in index], self.weak[index], self.filenames[index])

    def join(self, other: EventSet) -> EventSet:
        """Both sets as one."""
        return EventSet(
            np.concatenate([self.levels, other.levels]),
            [*self.events, *other.events],
            np.concatenate([self.weak, other.weak]),
            np.concatenate([self.filenames, other.filenames]),
        )


def scene_set(corpus: Corpus, split: str, settings: LogMelSettings, cache: Path) -> SceneSet:
    """A split of the scene task.

    Raises:
        DataError: the corpus does not have it, or is opened at another rate than the features'.
    """
    clips = _split(corpus.scenes, split, corpus, "scene (TAU)", settings)
    levels, labels = _computed(clips, corpus.fingerprint, settings, cache)
    columns = [np.asarray([row[key] for row in labels]) for key in ("device", "recording", "filename")]
    return SceneSet(levels, np.asarray([row["scene"] for row in labels], np.int32), *columns)


def event_set(corpus: Corpus, split: str, settings: LogMelSettings, cache: Path) -> EventSet:
    """A split of the event task.

    Raises:
        DataError: the corpus does not have it, or is opened at another rate than the features'.
    """
    clips = _split(corpus.events, split, corpus, "event (DESED)", settings)
    levels, labels = _computed(clips, corpus.fingerprint, settings, cache)
    events = [[Event(on, off, EVENTS[label]) for on, off, label in row["events"]] for row in labels]
    weak = np.asarray([row["weak"] for row in labels], np.float32)
    return EventSet(levels, events, weak, np.asarray([row["filename"] for row in labels]))


def prepared_levels(clips: Clips, fingerprint: str, settings: LogMelSettings, cache: Path) -> np.ndarray:
    """Levels of clips that no split of a corpus holds, kept in the cache under the clips' name like those of splits.

    Args:
        clips: the clips, in an order that is always the same.
        fingerprint: of the data that they are made from.
        settings: the features' settings.
        cache: where features are kept.

    Returns:
        float16 [clips, frames, mel_bands], dB, mapped into memory.
    """
    return _computed(clips, fingerprint, settings, cache)[0]


def level_statistics(sets: Iterable[np.ndarray], most_clips: int = 2000) -> tuple[float, float]:
    """Mean and standard deviation in dB over all levels of the given arrays (evenly spaced clips of each)."""
    total = count = square = 0.0
    for levels in sets:
        for part in np.array_split(np.unique(np.linspace(0, len(levels) - 1, most_clips).astype(int)), 16):
            values = np.asarray(levels[part], np.float64)
            total, square, count = total + values.sum(), square + (values**2).sum(), count + values.size
    mean = total / count
    return float(mean), float(np.sqrt(square / count - mean**2))


def _split(splits: dict[str, Clips], name: str, corpus: Corpus, task: str, settings: LogMelSettings) -> Clips:
    if corpus.sample_rate_hz != settings.sample_rate_hz:
        raise DataError(
            f"{corpus.name} is opened at {corpus.sample_rate_hz} Hz, the features want {settings.sample_rate_hz} Hz",
            hint=f"open_corpus(..., sample_rate_hz={settings.sample_rate_hz})",
        )
    if name not in splits or splits[name].count == 0:
        have = ", ".join(sorted(splits)) or "none"
        raise DataError(f"{corpus.name}: no {task} data of split {name} (there: {have})", hint="see docs/data.md")
    return splits[name]


def _computed(
    clips: Clips, fingerprint: str, settings: LogMelSettings, cache: Path
) -> tuple[np.ndarray, list[dict[str, Any]]]:
    folder = cache / "log_mel" / fingerprint[:16] / _digest(settings) / clips.name.replace("/", "_").replace(":", "_")
    if not folder.is_dir():
        with files.new_folder(folder) as new:
            _compute(clips, settings, new)
    levels = np.load(folder / "levels.npy", mmap_mode="r")
    return levels, json.loads((folder / "labels.json").read_text())


def _digest(settings: LogMelSettings) -> str:
    """Stands for the features before their normalisation."""
    definition = settings.normalised(0.0, 1.0).to_dict()
    # What was computed before there were these settings is still right.
    for key, usual in (("fft", settings.window), ("keep_last_frame", False)):
        if definition[key] == usual:
            del definition[key]
    return hashlib.sha256(json.dumps(definition, sort_keys=True).encode()).hexdigest()[:12]


def _compute(clips: Clips, settings: LogMelSettings, folder: Path) -> None:
    from keras_mtl.log_mel import LogMel

    log_mel, labels, levels, at = LogMel(settings), [], None, 0
    bar = tqdm(total=clips.count, desc=f"log-mel {clips.name}", unit="clip", file=sys.stderr, disable=None)
    with bar:
        for batch in _batches(clips, settings.sample_rate_hz):
            values = log_mel(np.stack([example["audio"] for example in batch]))
            if levels is None:
                shape = (clips.count, *values.shape[1:])
                levels = np.lib.format.open_memmap(folder / "levels.npy", "w+", np.float16, shape)
            levels[at : at + len(batch)] = values
            labels += [_labels(example) for example in batch]
            at += len(batch)
            bar.update(len(batch))
    if levels is None or at != clips.count:
        raise DataError(f"{clips.name}: {at} clips came where {clips.count} were announced")
    levels.flush()
    files.write_json(folder / "labels.json", labels)


def _batches(clips: Clips, sample_rate_hz: int) -> Iterator[list[dict[str, Any]]]:
    batch: list[dict[str, Any]] = []
    for example in clips:
        batch.append(example)
        if sum(len(e["audio"]) for e in batch) >= _BATCH_SECONDS * sample_rate_hz:
            yield batch
            batch = []
    if batch:
        yield batch


def _labels(example: dict[str, Any]) -> dict[str, Any]:
    if "scene" in example:
        return {"scene": int(example["scene"])} | {k: str(example[k]) for k in ("device", "recording", "filename")}
    events = example["events"]
    rows = zip(events["onset_s"], events["offset_s"], events["label"], strict=True)
    return {
        "filename": str(example["filename"]),
        "events": [[float(on), float(off), int(label)] for on, off, label in rows],
        "weak": [int(v) for v in example["weak"]],
    }
