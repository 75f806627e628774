"""What lies in a data folder and is not read: tables and folders with recordings, each with the reason."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from keras_mtl.datasets.audio import is_hidden, is_recording, layout

_MAESTRO = "MAESTRO, whose labels are soft: they are not read"
_REASONS = (
    ("confidence", "soft labels (column confidence) are not read"),
    ("event_labels", "weak labels of another set of clips"),
    ("event_label", "labels in time of another set of clips"),
    ("scene_label", "scenes of another set of clips"),
    ("duration", "the recordings themselves show how long they are"),
)


@dataclass(frozen=True)
class Unread:
    """A table or a folder that is not read.

    Attributes:
        name: relative to the data folder, a folder with "/" at its end.
        recordings: how many lie in the folder and those within it; 0 of a table.
        why: the reason.
    """

    name: str
    recordings: int
    why: str

    def to_dict(self) -> dict[str, Any]:
        """As plain values, for JSON."""
        return dict(vars(self))

    def __str__(self) -> str:
        count = f" ({self.recordings:,} recordings)" if self.recordings else ""
        return f"{self.name}{count}: {self.why}"


def find_unread(folder: Path, read: Iterable[Path], whole: Iterable[Path] = ()) -> list[Unread]:
    """Looks for what is not read. Opens the first line of tables, and no recording.

    Args:
        folder: the data folder.
        read: tables, and folders whose recordings are read.
        whole: folders that are read with all that lies within them.

    Returns:
        Folders none of whose recordings are read, the outermost of them only, and tables; by name.
    """
    known, all_of = {path.resolve() for path in read}, {path.resolve() for path in whole}
    recordings: dict[Path, int] = {}
    mixed: set[Path] = set()
    tables: list[Path] = []
    for place, inside, names in os.walk(folder):
        here = Path(place)
        inside[:] = [name for name in inside if not is_hidden(name) and (here / name).resolve() not in all_of]
        is_known = here.resolve() in known
        count = sum(is_recording(name) and not is_hidden(name) for name in names)
        for parent in (here, *here.parents[: len(here.relative_to(folder).parts)]):
            recordings[parent] = recordings.get(parent, 0) + (0 if is_known else count)
            if is_known:
                mixed.add(parent)
        tables += [here / name for name in names if Path(name).suffix.lower() in layout.TABLE_SUFFIXES]
    found = [
        Unread(f"{path.relative_to(folder).as_posix()}/" if path != folder else "./", count, _why_folder(path, folder))
        for path, count in _outermost(folder, recordings, mixed)
    ]
    unknown = (path for path in tables if not is_hidden(path.name) and path.resolve() not in known)
    found += [Unread(path.relative_to(folder).as_posix(), 0, _why_table(path)) for path in unknown]
    return sorted(found, key=lambda each: each.name)


def _outermost(folder: Path, recordings: Mapping[Path, int], mixed: set[Path]) -> Iterator[tuple[Path, int]]:
    """Folders with unread recordings alone whose parent has others, too; of mixed ones, those that lie in them."""
    for path, count in recordings.items():
        if not count:
            continue
        if path not in mixed:
            if path == folder or path.parent in mixed or path.parent == folder:
                yield path, count
        elif own := count - sum(n for other, n in recordings.items() if other.parent == path and other != path):
            yield path, own


def _why_folder(path: Path, folder: Path) -> str:
    name = path.relative_to(folder).as_posix() if path != folder else ""
    if "maestro" in name.lower():
        return _MAESTRO
    if name.endswith(layout.DESED_SOUNDBANK):
        return "isolated sounds, read with data.soundbank = true only"
    if "eval" in name.lower():
        return "clips of an evaluation"
    return "no split is known to lie here"


def _why_table(path: Path) -> str:
    if "maestro" in path.name.lower():
        return _MAESTRO
    try:
        with path.open(encoding="utf-8-sig", errors="replace") as file:
            columns = file.readline(1 << 16).strip().split("\t")
    except OSError as error:
        return f"it can't be opened: {error.strerror}"
    if columns == ["filename"]:
        return "names alone: the folder of the recordings is read"
    return next((why for column, why in _REASONS if column in columns), "no table of a split")
