"""The census of a folder of own sounds: what is there of each class, on which side, and what is wrong with it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from keras_mtl.core import DataError
from keras_mtl.datasets.audio import Inspected, files, layout
from keras_mtl.datasets.own.folder import HELD_OUT, TEST, TRAIN, OwnFolder, class_of
from keras_mtl.decoding import Event

#: With fewer training recordings of a class a network learns these recordings, and not the class.
FEW_RECORDINGS = 10
#: Part of the samples at full scale from which on a recording counts as clipped.
_CLIPPED = 1e-3
#: Every sample is below this: nothing was recorded.
_SILENT = 1e-4


@dataclass(frozen=True)
class ClassRow:
    """What there is of a class, or of a folder without classes.

    Attributes:
        folder: "scenes", "events", "background", "recordings" or "unlabelled".
        label: the class; "" of a folder without.
        train, test: recordings on each side; those that the best epoch is chosen by are "train". In "recordings" the
            recordings that a class is in.
        seconds: of audio; in "recordings" of the class's events.
        clips: that are cut of it; in "recordings" the class's events. Sounds and backgrounds are mixed, not cut.
    """

    folder: str
    label: str
    train: int
    test: int
    seconds: float
    clips: int | None


@dataclass(frozen=True)
class OwnCensus:
    """A folder of own sounds as it lies on disk.

    Attributes:
        folder: the folder.
        rows: classes.
        formats: recordings by rate and channels, as "16000 Hz, 1 ch".
        notes: what works and may not be meant, in words; each with names.
        refusals: why the folder can't be prepared.
    """

    folder: OwnFolder
    rows: tuple[ClassRow, ...]
    formats: dict[str, int]
    notes: tuple[tuple[str, tuple[str, ...]], ...]
    refusals: tuple[DataError, ...] = field(default=())

    def to_dict(self, most_names: int | None) -> dict[str, Any]:
        """As plain values, for JSON; with the first names of each kind, or all where `most_names` is None."""
        return {
            "labels": self.folder.labels.to_dict(),
            "split": "split.tsv"
            if self.folder.table
            else f"drawn, data.split_seed = {self.folder.settings.split_seed}",
            "classes": [vars(row) for row in self.rows],
            "formats": self.formats,
            "notes": [{"what": what, "count": len(names), "names": names[:most_names]} for what, names in self.notes],
            "refusals": [error.message for error in self.refusals[:most_names]],
        }


def check_own(folder: OwnFolder, digests: dict[str, str], each: Callable[[Sequence[Path]], Iterator[Any]]) -> OwnCensus:
    """Looks at every recording of a folder.

    Args:
        folder: as it was opened.
        digests: of its recordings by name, to find the same content on both sides; may be empty.
        each: gives what `inspect` gives of paths, in their order.
    """
    names = list(folder.sides)
    paths = [folder.root / name for name in names]
    found = dict(zip(names, each(paths), strict=True))
    sound = {name: about for name, about in found.items() if isinstance(about, Inspected)}
    refusals = [*folder.problems, *(error for error in found.values() if isinstance(error, DataError))]
    refusals += [
        DataError(f"{folder.root / name} is silent", hint="remove it")
        for name, about in sound.items()
        if about.levels.peak < _SILENT and name.startswith(("scenes/", "events/"))
    ]
    formats: dict[str, int] = defaultdict(int)
    for about in sound.values():
        formats[f"{about.format.rate_hz} Hz, {about.format.channels} ch"] += 1
    rows = tuple(_rows(folder, {name: about.format.seconds for name, about in sound.items()}))
    return OwnCensus(
        folder, rows, dict(sorted(formats.items())), tuple(_notes(folder, rows, sound, digests)), tuple(refusals)
    )


def inspect(path: Path) -> Inspected | DataError:
    """Reads a recording to its end."""
    try:
        return files.inspect(path, every_sample=True)
    except DataError as error:
        return error


def _rows(folder: OwnFolder, seconds: dict[str, float]) -> Iterator[ClassRow]:
    settings = folder.settings

    def row(kind: str, label: str, names: Sequence[str], clip_s: float | None) -> ClassRow:
        known = [name for name in names if name in seconds]
        test = sum(folder.sides[name] == TEST for name in names)
        clips = sum(max(1, int(seconds[name] / clip_s + 1e-3)) for name in known) if clip_s else None
        return ClassRow(kind, label, len(names) - test, test, round(sum(seconds[name] for name in known), 3), clips)

    sides = (TRAIN, HELD_OUT, TEST)
    for task, clip_s in (("scenes", settings.scene_clip_s), ("events", None)):
        for label, names in folder.by_class(task, *sides).items():
            if names:
                yield row(task, label, names, clip_s)
    labelled: dict[str, list[tuple[str, Event]]] = defaultdict(list)
    for name in folder.names("recordings", *sides):
        for event in folder.events.get(name, ()):
            labelled[event.label].append((name, event))
    for label, found in sorted(labelled.items()):
        holders = {name for name, _ in found}
        test = sum(folder.sides[name] == TEST for name in holders)
        lasted = round(sum(event.offset_s - event.onset_s for _, event in found), 3)
        yield ClassRow("recordings", label, len(holders) - test, test, lasted, len(found))
    for kind, clip_s in (
        ("background", None),
        ("recordings", settings.event_clip_s),
        ("unlabelled", settings.event_clip_s),
    ):
        if names := folder.names(kind, *sides):
            yield row(kind, "", names, clip_s)


def _notes(
    folder: OwnFolder, rows: Sequence[ClassRow], sound: dict[str, Inspected], digests: dict[str, str]
) -> Iterator[tuple[str, tuple[str, ...]]]:
    isolated = {row.label for row in rows if row.folder == "events"}
    few = [
        f"{row.folder}/{row.label} ({row.train})"
        for row in rows
        if row.label and row.train < FEW_RECORDINGS and not (row.folder == "recordings" and row.label in isolated)
    ]
    alone = [f"{row.folder}/{row.label}" for row in rows if row.label and row.folder != "recordings" and not row.test]
    by_digest: dict[str, list[str]] = defaultdict(list)
    for name, digest in digests.items():
        if name in folder.sides and digest != layout.UNREADABLE:
            by_digest[digest].append(name)
    copies = [names for names in by_digest.values() if len(names) > 1]
    leaks = [names for names in copies if len({folder.sides[name] == TEST for name in names}) > 1]
    many = [names for names in copies if len({class_of(name) for name in names if name.count("/") > 1}) > 1]
    found = (
        (f"classes have fewer than {FEW_RECORDINGS} training recordings", few),
        ("classes have no recording on the test side, and get no figures", alone),
        (
            "recordings are clipped",
            [n for n, about in sound.items() if about.levels.at_full_scale > _CLIPPED and not about.levels.beyond],
        ),
        ("recordings go beyond full scale, and are cut to it", [n for n, each in sound.items() if each.levels.beyond]),
        (
            "recordings have channels that cancel each other when they are mixed down",
            [n for n, each in sound.items() if each.levels.cancelled_db],
        ),
        ("recordings are silent", [n for n, about in sound.items() if about.levels.peak < _SILENT]),
        ("recordings are on both sides of the split, by content", [" = ".join(names) for names in leaks]),
        ("recordings are in several classes, by content", [" = ".join(names) for names in many]),
        ("recordings are not named by split.tsv, and passed over", folder.unnamed),
        ("recordings that split.tsv names are not there", folder.missing),
        ("hidden files are passed over", folder.hidden),
        ("can't be trained on", folder.untrained()),
    )
    yield from ((what, tuple(names)) for what, names in found if names)
