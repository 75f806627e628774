"""Examples kept on disk while a data set is prepared, so that an interrupt does not cost the resampling done before it.

TFDS writes a data set whole or not at all. Reading and resampling recordings is nearly all of the work, so its results
are kept in parts, each written whole, and TFDS gets its examples from these. They are removed when it is ready.
"""

from __future__ import annotations

import functools
import json
import sys
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from keras_mtl.core import DataError, files
from keras_mtl.datasets.prepare.census import Census
from keras_mtl.datasets.prepare.local_builder import LocalBuilder, Split
from keras_mtl.datasets.prepare.workers import Workers

_PART_SECONDS = 1000


@dataclass(frozen=True)
class Source:
    """What another process needs to make the same examples.

    Attributes:
        builder: the builder's class.
        home: where it keeps what it prepares.
        config_name: the name of its configuration.
        manual_dir: the user's data.
        config: its configuration.
    """

    builder: type[LocalBuilder]
    home: Path
    config_name: str
    manual_dir: Path | None
    config: Any = field(compare=False)


@dataclass(frozen=True)
class _Part:
    """Some examples of a split: those of the keys `first` to `last` of its plan."""

    source: Source
    split: str
    first: int
    last: int
    path: Path


class KeptExamples:
    """Makes the examples of a data set in parts, and lets TFDS read them from there.

    Args:
        source: what makes them.
        folder: where the parts lie.
        workers: who makes them.
        progress: whether to show a bar.
    """

    def __init__(self, source: Source, folder: Path, workers: Workers, progress: bool) -> None:
        self._source, self._folder, self._workers, self._progress = source, folder, workers, progress

    def __call__(self, name: str, split: Split, samples: int, sample_rate_hz: int) -> Split:
        """The split with examples that are read from parts; parts that are not there yet, or damaged, are made first.

        Args:
            name: the split's name.
            split: as it is planned.
            samples: of a clip.
            sample_rate_hz: their rate.
        """
        size = max(1, _PART_SECONDS * sample_rate_hz // samples)
        ranges = [(first, min(first + size, len(split.keys))) for first in range(0, len(split.keys), size)]
        parts = [_Part(self._source, name, *ends, self._folder / f"{name}-{ends[0]}-{ends[1]}.npz") for ends in ranges]
        missing = [part for part in parts if not _is_whole(part.path)]
        title = f"reading {self._source.builder.name}/{name}"
        bar = tqdm(total=len(split.keys), desc=title, unit=" clips", file=sys.stderr, disable=not self._progress)
        with bar:
            bar.update(len(split.keys) - sum(part.last - part.first for part in missing))
            try:
                for count in self._workers(_make, missing):
                    bar.update(count)
            finally:
                _plan.cache_clear()
        return replace(split, example=_Reader(parts, split.census))


class _Reader:
    """Gives the example of one key after the other, from the parts in their order."""

    def __init__(self, parts: list[_Part], census: Census) -> None:
        self._census = census
        self._examples = (found for part in parts for found in self._read(part))

    def __call__(self, key: str) -> dict[str, Any]:
        found, example, error = next(self._examples)
        if found != key:
            raise DataError(f"kept examples are not in the order of the plan: {found} where {key} is due")
        if example is None:
            raise DataError(*error)  # counted where every split's examples are
        return example

    def _read(self, part: _Part) -> Iterator[tuple[str, dict[str, Any] | None, list[str]]]:
        with np.load(part.path, allow_pickle=False) as kept:
            rest, audio = json.loads(kept["rest"].tobytes()), kept["audio"]
        self._census.add(Census.load(rest["census"]))
        row = 0
        for key, values, error in rest["examples"]:
            if values is None:
                yield key, None, error
                continue
            if "weak" in values:
                values["weak"] = np.asarray(values["weak"], np.int64)
            yield key, {"audio": audio[row], **values}, []
            row += 1


def _make(part: _Part) -> int:
    """Makes a part and writes it; gives the number of its keys."""
    split = _plan(part.source)[part.split]
    split.census.take()  # what the tables show is counted by the calling process, and is no part of this
    examples: list[Any] = []
    audio: list[np.ndarray] = []
    for key in split.keys[part.first : part.last]:
        try:
            values = dict(split.example(key))
        except DataError as error:
            examples.append([key, None, [error.message, error.hint]])
            continue
        audio.append(values.pop("audio"))
        if "weak" in values:
            values["weak"] = [int(value) for value in values["weak"]]
        examples.append([key, values, []])
    rest = json.dumps({"examples": examples, "census": split.census.take().saved()}).encode()
    with files.new_file(part.path) as file:
        np.savez(file, audio=np.asarray(audio, np.int16), rest=np.frombuffer(rest, np.uint8))
    return part.last - part.first


@functools.lru_cache(maxsize=1)
def _plan(source: Source) -> dict[str, Split]:
    return source.builder(data_dir=source.home, config=source.config).plan(source.manual_dir)


def _is_whole(path: Path) -> bool:
    """Whether a part is there and every byte of it is as it was written: a zip file has a checksum for each member."""
    try:
        with zipfile.ZipFile(path) as kept:
            return kept.testzip() is None
    except (OSError, zipfile.BadZipFile):
        return False
