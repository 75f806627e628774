"""What lies in a folder of own sounds: recordings by class, labels in time, and the side of the split of each.

| in the folder | holds |
|---|---|
| `scenes/<label>/**` | recordings of a scene, of any length |
| `events/<label>/**` | isolated sounds |
| `background/**` | what else is heard |
| `recordings/**` | recordings with labels in time: `NAME.txt` (an Audacity label track) or `NAME.tsv` beside each |
| `unlabelled/**` | recordings without labels |
| `split.tsv` | optional: columns `file` and `split`, "train" or "test" |
"""

from __future__ import annotations

import hashlib
import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from keras_mtl.core import DataError, Labels, RecipeError, normal, refusal
from keras_mtl.datasets import tables
from keras_mtl.datasets.audio import is_hidden, layout, recordings_below
from keras_mtl.datasets.prepare import DataSettings
from keras_mtl.decoding import Event

SPLIT_TABLE = "split.tsv"
TRAIN, HELD_OUT, TEST = "train", "held_out", "test"
#: Fewer recordings than this are not parted into what is trained on and what the best epoch is chosen by.
_LEAST_TO_HOLD_OUT = 4
_CLASSED = ("scenes", "events")


@dataclass(frozen=True)
class OwnFolder:
    """A folder of own sounds. Names of files are relative to it, with "/".

    Attributes:
        root: the folder.
        settings: how it is parted.
        labels: the classes: those that were asked for, else its own.
        sides: "train", "held_out" (training sounds and backgrounds that the best epoch is chosen by) or "test" of each
            file that is used. Unlabelled recordings are "train".
        events: the events of each file of `recordings/`, in seconds from its start.
        table: whether `split.tsv` says so; else the sides are drawn.
        unnamed: files that `split.tsv` does not name; they are passed over.
        missing: files that it names and that are not there.
        hidden: hidden files that are called as recordings are, as macOS' `._NAME.wav`; they are passed over.
        problems: what can't be used, each with what to try.
    """

    root: Path
    settings: DataSettings
    labels: Labels
    sides: Mapping[str, str]
    events: Mapping[str, Sequence[Event]]
    table: bool
    unnamed: tuple[str, ...]
    missing: tuple[str, ...]
    hidden: tuple[str, ...]
    problems: tuple[DataError, ...]

    def names(self, folder: str, *sides: str) -> list[str]:
        """Files of one of its folders on these sides, sorted."""
        return [name for name, side in self.sides.items() if name.startswith(f"{folder}/") and side in sides]

    def by_class(self, task: str, *sides: str) -> dict[str, list[str]]:
        """Files of "scenes" or "events" on these sides, by class in the labels' order; some may have none."""
        found: dict[str, list[str]] = {label: [] for label in self.labels.by_task()[task]}
        for name in self.names(task, *sides):
            if (label := class_of(name)) in found:
                found[label].append(name)
        return found

    def untrained(self) -> list[str]:
        """Why a training is not possible: classes without anything on the training side."""
        lines = []
        for label, names in self.by_class("scenes", TRAIN).items():
            if not names:
                lines.append(f'no training recording of the scene "{label}"')
        if self.labels.events:
            spoken = {event.label for name in self.names("recordings", TRAIN) for event in self.events.get(name, ())}
            for label, names in self.by_class("events", TRAIN).items():
                if not names and label not in spoken:
                    lines.append(f'no training sound of the event "{label}"')
        return lines

    @property
    def tasks(self) -> tuple[str, ...]:
        """The tasks that there is material for."""
        there = {"scenes": "scenes", "events": "events", "recordings": "events"}
        return tuple(sorted({task for folder, task in there.items() if self.names(folder, TRAIN, HELD_OUT, TEST)}))


def open_own(root: Path, settings: DataSettings, labels: Labels | None = None) -> OwnFolder:
    """Looks at a folder of own sounds. Reads tables and tracks, no audio.

    Args:
        root: the folder.
        settings: how it is parted, where it has no `split.tsv`.
        labels: the classes; where None, or of a task without any, the names of its folders, sorted, or where there is
            no `events/`, the labels of its tracks.

    Raises:
        DataError: it holds no recordings, or `split.tsv` is no table. All else that is wrong is in `problems`.
    """
    problems: list[DataError] = []
    names = {folder: list(_recordings(root, folder)) for folder in layout.OWN_FOLDERS}
    if not any(names[folder] for folder in ("scenes", "events", "recordings")):
        raise DataError(f"no recordings in scenes/, events/ or recordings/ of {root}", hint="see docs/own_sounds.md")
    tracks = {name: found for name in names["recordings"] if (found := _events(root, name, problems)) is not None}
    labels = _labels(root, names, tracks, labels or Labels(), problems)
    _require_known(root, names, tracks, labels, problems)
    sides = _split_table(root, names, problems)
    missing: tuple[str, ...] = ()
    table = sides is not None
    if sides is None:
        sides = _drawn(names, settings)
    else:
        everything = {name for found in names.values() for name in found}
        missing = tuple(sorted(sides.keys() - everything))
        sides = {name: side for name, side in sides.items() if name in everything}
    sides |= dict.fromkeys(names["unlabelled"], TRAIN)
    sides |= dict.fromkeys(_held_out(sides, settings), HELD_OUT)
    used = {name: sides[name] for name in sorted(sides)}
    unnamed = tuple(sorted(name for found in names.values() for name in found if name not in used))
    hidden = tuple(name for folder in layout.OWN_FOLDERS for name in _recordings(root, folder, hidden=True))
    return OwnFolder(root, settings, labels, used, tracks, table, unnamed, missing, hidden, tuple(problems))


def class_of(name: str) -> str:
    """The class of a file of `scenes/` or `events/`: the folder that it lies in there."""
    return normal(name.split("/")[1])


def _recordings(root: Path, folder: str, hidden: bool = False) -> Iterator[str]:
    """Recordings, also of kinds that can't be read: these are refused with what to do, not passed over."""
    yield from (path.relative_to(root).as_posix() for path in recordings_below(root / folder, hidden))


def _labels(
    root: Path,
    names: Mapping[str, Sequence[str]],
    tracks: Mapping[str, Sequence[Event]],
    wanted: Labels,
    problems: list[DataError],
) -> Labels:
    """The classes: those that are wanted, else those of the folders, else those of the tracks."""
    found: dict[str, tuple[str, ...]] = {}
    for task in _CLASSED:
        folders = sorted(entry.name for entry in root.glob(f"{task}/*") if entry.is_dir() and not is_hidden(entry.name))
        for name in folders:
            if why := refusal(normal(name)):
                problems.append(DataError(f"{root / task / name}: the class {name!r} {why}", hint="rename the folder"))
            elif not any(each.startswith(f"{task}/{name}/") for each in names[task]):
                hint = "remove the folder, or put recordings in it"
                problems.append(DataError(f"{root / task / name} holds no recordings", hint=hint))
        if loose := [name for name in names[task] if name.count("/") == 1]:
            problems.append(
                DataError(f"{root / loose[0]} lies in no class", hint=f"recordings lie in {task}/LABEL/NAME.wav")
            )
        kept = [normal(name) for name in folders if not refusal(normal(name))]
        for name in kept:
            same = [other for other in kept if other.casefold() == name.casefold()]
            if len(same) > 1 and name == same[0]:
                hint = "join the folders, or rename one"
                problems.append(
                    DataError(f"{root / task} has {' and '.join(map(repr, same))}, which are one name", hint=hint)
                )
        unique = {name.casefold(): name for name in reversed(kept)}
        found[task] = tuple(sorted(unique.values()))
    if not found["events"] and tracks:
        found["events"] = tuple(sorted({event.label for events in tracks.values() for event in events}))
    try:
        return wanted.or_else(Labels(**found))
    except RecipeError as error:
        if problems:
            raise problems[0] from None
        raise DataError(f"{root}: {error.message.removeprefix('labels.')}", hint=error.hint) from None


def _require_known(
    root: Path,
    names: Mapping[str, Sequence[str]],
    tracks: Mapping[str, Sequence[Event]],
    labels: Labels,
    problems: list[DataError],
) -> None:
    """Notes classes of folders and tracks that are not in the list."""
    for task in _CLASSED:
        known = labels.by_task()[task]
        for name in sorted({class_of(name) for name in names[task] if name.count("/") > 1} - set(known)):
            if not any(name.casefold() == other.casefold() for other in known) and not refusal(name):
                hint = f"classes: {', '.join(known)}; labels.{task} of the recipe names them"
                problems.append(DataError(f'{root / task}: "{name}" is none of the classes', hint=hint))
    for name, events in tracks.items():
        for label in sorted({event.label for event in events} - set(labels.events)):
            hint = f"classes: {', '.join(labels.events)}; rename it, or add it to labels.events of the recipe"
            problems.append(DataError(f'{root / name}: its label "{label}" is none of the classes', hint=hint))


def _events(root: Path, name: str, problems: list[DataError]) -> list[Event] | None:
    """The labels beside a recording; None, and a problem, where there are none that can be read."""
    path = root / name
    beside = [path.with_suffix(suffix) for suffix in (".txt", ".tsv", ".csv")]
    found = [other for other in beside if other.is_file()]
    if len(found) != 1:
        what = (
            f"both {found[0].name} and {found[1].name}" if found else f"neither {beside[0].name} nor {beside[1].name}"
        )
        hint = "keep one of them" if found else "label it, or move it to unlabelled/"
        problems.append(DataError(f"{path} has {what} beside it", hint=hint))
        return None
    try:
        return sorted(_track(found[0]) if found[0].suffix == ".txt" else _table(found[0]))
    except DataError as error:
        problems.append(error)
        return None


def _track(path: Path) -> Iterator[Event]:
    track = tables.read_track(path)
    if track is None:
        raise DataError(
            f"{path} is no label track", hint="start, end and name, TAB-separated, as Audacity exports them"
        )
    for onset_s, offset_s, label in track.events:
        yield _event(path, onset_s, offset_s, label)


def _table(path: Path) -> Iterator[Event]:
    for row in tables.read_table(path, ("onset", "offset", "event_label"), may_be_empty=True):
        try:
            onset_s, offset_s = float(row["onset"]), float(row["offset"])
        except ValueError:
            onset_s = offset_s = math.nan
        yield _event(path, onset_s, offset_s, row["event_label"])


def _event(path: Path, onset_s: float, offset_s: float, label: str) -> Event:
    if not (math.isfinite(onset_s) and math.isfinite(offset_s) and 0 <= onset_s < offset_s):
        hint = "an event has an onset and a later offset, in seconds"
        raise DataError(f'{path}: "{label}" from {onset_s} s to {offset_s} s is no event', hint=hint)
    if why := refusal(normal(label)):
        raise DataError(f"{path}: the label {label!r} {why}", hint="rename it")
    return Event(onset_s, offset_s, normal(label))


def _split_table(root: Path, names: Mapping[str, Sequence[str]], problems: list[DataError]) -> dict[str, str] | None:
    """The sides that `split.tsv` gives; None where there is none. Names are matched in composed form."""
    path = root / SPLIT_TABLE
    if not path.is_file():
        return None
    on_disk = {normal(name): name for found in names.values() for name in found}
    sides: dict[str, str] = {}
    for row in tables.read_table(path, ("file", "split")):
        name, side = row["file"].removeprefix("./"), row["split"].strip()
        name = on_disk.get(normal(name), name)
        if side not in (TRAIN, TEST):
            problems.append(DataError(f'{path}: {name} has split "{side}"', hint='"train" or "test"'))
        elif sides.get(name, side) != side:
            problems.append(DataError(f"{path} has {name} on both sides", hint="remove one of the rows"))
        sides[name] = side
    return sides


def _drawn(names: Mapping[str, Sequence[str]], settings: DataSettings) -> dict[str, str]:
    """A part of each class's recordings for the test, at least one where there are two; all else is for training."""
    sides: dict[str, str] = {}
    for group, found in _groups(name for folder in names if folder != "unlabelled" for name in names[folder]):
        least = 1 if len(found) > 1 and settings.test_fraction else 0
        for name, test in _chosen(group, found, settings.test_fraction, least, settings.split_seed):
            sides[name] = TEST if test else TRAIN
    return sides


def _held_out(sides: Mapping[str, str], settings: DataSettings) -> Iterator[str]:
    """Training sounds and backgrounds that are kept apart for choosing the best epoch."""
    mixed = (name for name in sorted(sides) if sides[name] == TRAIN and name.startswith(("events/", "background/")))
    for group, found in _groups(mixed):
        if len(found) >= _LEAST_TO_HOLD_OUT and settings.held_out_fraction:
            chosen = _chosen(f"held out {group}", found, settings.held_out_fraction, 1, settings.split_seed)
            yield from (name for name, out in chosen if out)


def _groups(names: Iterable[str]) -> Iterator[tuple[str, list[str]]]:
    """Names by folder and class, or kind of background."""
    groups: dict[str, list[str]] = defaultdict(list)
    for name in names:
        folder, *rest = name.split("/")
        groups[f"{folder}/{normal(rest[0])}" if folder != "recordings" and len(rest) > 1 else folder].append(name)
    yield from groups.items()


def _chosen(group: str, names: Sequence[str], share: float, least: int, seed: int) -> Iterator[tuple[str, bool]]:
    """Each name, and whether it is in a part of that share that the seed draws."""
    own = int.from_bytes(hashlib.sha256(group.encode("utf-8", "surrogateescape")).digest()[:4])
    count = min(max(least, round(share * len(names))), len(names) - 1)
    chosen = set(np.random.default_rng([seed, own]).permutation(len(names))[:count].tolist())
    yield from ((name, place in chosen) for place, name in enumerate(names))
