"""A census of the data sets in a folder without preparing them: what the preparation would count and refuse."""

from __future__ import annotations

import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tqdm.auto import tqdm

from keras_mtl.core import DataError
from keras_mtl.datasets import own
from keras_mtl.datasets.audio import SAMPLE_RATE_HZ, Inspected, in_threads, inspect, layout
from keras_mtl.datasets.corpus import DIGESTS, config_of, wanted_soundbank
from keras_mtl.datasets.desed.desed_dataset_builder import Builder as Desed
from keras_mtl.datasets.mixing import open_desed_soundbank
from keras_mtl.datasets.own import OwnCensus
from keras_mtl.datasets.prepare import NAMED, Census, DataSettings, LocalBuilder, Split, quiet
from keras_mtl.datasets.tau_urban_acoustic_scenes_2022_mobile import (
    tau_urban_acoustic_scenes_2022_mobile_dataset_builder as tau,
)
from keras_mtl.datasets.unread import Unread, find_unread

SCHEMA = "keras_mtl.census/1"


@dataclass(frozen=True)
class SplitCensus:
    """A split as it lies on disk.

    Attributes:
        name: the data set.
        split: the split.
        census: counts and names.
        seconds: audio in the recordings that are there and can be read, as they are.
        rates: recordings by their sample rate in Hz.
        clip_s: seconds of the clips that would be made; 0 where none are.
    """

    name: str
    split: str
    census: Census
    seconds: float
    rates: dict[int, int]
    clip_s: float = 0.0

    def to_dict(self, most_names: int | None = NAMED) -> dict[str, Any]:
        """As plain values, for JSON."""
        return {
            "name": self.name,
            "split": self.split,
            "listed": self.census.listed,
            **self.census.counts(),
            "seconds": round(self.seconds, 3),
            "rates": {str(rate): count for rate, count in sorted(self.rates.items())},
            "names": self.census.first_names(most_names),
            "refusals": [error.message for error in self.census.refusals[:most_names]],
        }


@dataclass(frozen=True)
class FolderCensus:
    """A folder of data sets as it lies on disk.

    Attributes:
        folder: the folder.
        fingerprint: that of `Corpus` for this folder; None where it was not wanted.
        sample_rate_hz: the rate that the clips would be prepared at.
        splits: the splits of all data sets.
        problems: why a data set can't be looked at: a table that is missing or no table.
        unread: tables, and folders with recordings, that lie in the folder and are not read.
        own: the census of a folder of own sounds, which has no `splits`; None of another one.
    """

    folder: Path
    fingerprint: str | None
    sample_rate_hz: int
    splits: tuple[SplitCensus, ...]
    problems: tuple[str, ...] = field(default=())
    unread: tuple[Unread, ...] = ()
    own: OwnCensus | None = None

    @property
    def usable(self) -> bool:
        """Whether the preparation would take all that is there."""
        return not self.problems and not self.refusals

    @property
    def refusals(self) -> list[DataError]:
        """What the preparation would refuse."""
        found = [error for each in self.splits for error in each.census.refusals]
        return found + list(self.own.refusals if self.own else ())

    def to_dict(self, most_names: int | None = NAMED) -> dict[str, Any]:
        """As plain values, for JSON; with the first names of each kind, or all where `most_names` is None."""
        return {
            "schema": SCHEMA,
            "data": {"name": self.folder.resolve().name, "fingerprint": self.fingerprint},
            "folder": str(self.folder),
            "sample_rate_hz": self.sample_rate_hz,
            "datasets": [each.to_dict(most_names) for each in self.splits],
            **({"own": self.own.to_dict(most_names)} if self.own else {}),
            "problems": list(self.problems),
            "unread": [each.to_dict() for each in self.unread],
            "verdict": "passed" if self.usable else "failed",
        }


def check_folder(
    data: str | Path,
    cache: Path | None = None,
    progress: bool = True,
    sample_rate_hz: int = SAMPLE_RATE_HZ,
    hashed: bool = True,
    settings: DataSettings | None = None,
) -> FolderCensus:
    """Looks at all tables and recordings of the data sets in a folder. Changes nothing in it.

    It goes by the plans of the builders, and so counts and refuses what they do. A recording's header is read, and its
    samples where the header does not show whether they are sound (`audio.inspect`).

    Args:
        data: a folder as of `corpus.open_corpus`; no embedded data.
        cache: where `open_corpus` keeps its data: the digests of recordings are remembered there.
        progress: whether to show bars on stderr, if that is a terminal.
        sample_rate_hz: the rate that clips would be prepared at.
        hashed: whether to make the fingerprint, for which every byte is read once.
        settings: which clips would be made; the defaults where None. Their lengths say what is too short or too long.

    Raises:
        DataError: no such folder, or no data set in it.
    """
    folder, settings = layout.require_folder(Path(data)), settings or DataSettings()
    if layout.find_sets(folder).keys() == {"own"}:
        return _check_own(folder, cache, progress, sample_rate_hz, hashed, settings)
    splits: list[SplitCensus] = []
    fingerprints, problems = [], []
    read: list[Path] = []
    banks: list[Path] = []
    for name, root in layout.find_sets(folder).items():
        if hashed:
            fingerprints.append(layout.fingerprint(name, root, cache / DIGESTS if cache else None, progress))
        try:
            builder_class = tau.Builder if name == "tau" else Desed
            splits += _look_at(builder_class, root, read, progress, sample_rate_hz, settings)
            if name == "desed" and (bank := wanted_soundbank(root, settings)) is not None:
                banks.append(bank)
                splits.append(_look_at_soundbank(bank, progress))
        except DataError as error:
            problems.append(error.message)
            banks.append(root)  # nothing is known of what would be read
    joined = layout.joined_fingerprint(fingerprints) if hashed else None
    unread = tuple(find_unread(folder, read, banks))
    return FolderCensus(folder, joined, sample_rate_hz, tuple(splits), tuple(problems), unread)


def _look_at(
    builder_class: type[LocalBuilder],
    root: Path,
    read: list[Path],
    progress: bool,
    sample_rate_hz: int,
    settings: DataSettings,
) -> Iterable[SplitCensus]:
    """The censuses of a data set's splits; what they are made of is appended to `read`."""
    with quiet(), tempfile.TemporaryDirectory() as nowhere:  # TFDS wants a folder, and nothing is written there
        builder = builder_class(data_dir=nowhere, config=config_of(builder_class, sample_rate_hz, settings))
        plan = builder.plan(root)
    read += dict.fromkeys(path for split in plan.values() for path in split.read)
    paths = list(dict.fromkeys(path for split in plan.values() for path in split.recordings.values()))
    found = dict(zip(paths, _inspected(_inspect, paths, f"checking {builder.name}", progress), strict=True))
    return [_counted(builder, name, split, found) for name, split in plan.items()]


def _look_at_soundbank(bank: Path, progress: bool) -> SplitCensus:
    census, seconds, rates = Census(), 0.0, Counter[int]()
    found = open_desed_soundbank(bank)
    paths = [source.path for source in found.sources]
    for path, about in zip(paths, _inspected(own.inspect, paths, "checking the soundbank", progress), strict=True):
        name = path.relative_to(bank).as_posix()
        if isinstance(about, DataError):
            census.refuse("unreadable", name, about)
        elif not about.levels.peak and not name.startswith("background/"):
            census.refuse("unreadable", name, DataError(f"{path} is silent", hint="remove it"))
        else:
            census.clips += 1
            seconds += about.format.seconds
            rates[about.format.rate_hz] += 1
    return SplitCensus("desed", "soundbank", census, seconds, dict(rates))


def _check_own(
    folder: Path, cache: Path | None, progress: bool, sample_rate_hz: int, hashed: bool, settings: DataSettings
) -> FolderCensus:
    try:
        found = own.open_own(folder, settings)
    except DataError as error:
        return FolderCensus(folder, None, sample_rate_hz, (), (error.message,))
    memory = cache / DIGESTS if cache else None
    digests = layout.digests(folder, list(found.sides), memory, progress) if hashed else {}
    whole = own.own_home(layout.fingerprint("own", folder, memory, progress), settings) if hashed else None
    census = own.check_own(
        found, digests, lambda paths: _inspected(own.inspect, paths, "checking own sounds", progress)
    )
    read = [folder / own.SPLIT_TABLE] if found.table else []
    unread = tuple(find_unread(folder, read, [folder / name for name in layout.OWN_FOLDERS]))
    return FolderCensus(folder, whole, sample_rate_hz, (), (), unread, census)


def _counted(builder: LocalBuilder, name: str, split: Split, found: dict[Path, Inspected | DataError]) -> SplitCensus:
    seconds, rates = 0.0, Counter[int]()
    for key, path in split.recordings.items():
        recording = found[path]
        if isinstance(recording, DataError):
            split.census.refuse("unreadable", key, recording)
            continue
        split.census.clips += 1
        split.count(key, recording)
        seconds += recording.format.seconds
        rates[recording.format.rate_hz] += 1
    return SplitCensus(builder.name, name, split.census, seconds, dict(rates), builder.clip_s)


def _inspected(inspect: Callable[[Path], Any], paths: Sequence[Path], doing: str, progress: bool) -> Iterator[Any]:
    bar = tqdm(
        desc=doing,
        unit=" recordings",
        total=len(paths),
        file=sys.stderr,
        mininterval=0.5,
        disable=not (progress and sys.stderr.isatty()),
    )
    with bar:
        for result in in_threads(inspect, paths):
            bar.update()
            yield result


def _inspect(path: Path) -> Inspected | DataError:
    try:
        return inspect(path)
    except DataError as error:
        return error
