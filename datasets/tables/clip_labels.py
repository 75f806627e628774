"""What is known of one recording: its labels in the tables of the data set that it lies in, or in a file beside it."""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path

from keras_mtl.core import SCENE_PREFIX, DataError, normal, without_score
from keras_mtl.datasets.audio import layout
from keras_mtl.datasets.tables import tab_separated as tables
from keras_mtl.datasets.tables.desed_places import find_places

_SUFFIX = ".txt"  # what Audacity and `predict` call a track


@dataclass
class ClipLabels:
    """Labels of one recording.

    Attributes:
        table: where they stand.
        scene, device, recording: of a TAU clip; "" where they are not known. Of several scenes, the longest.
        events: (onset in seconds, offset in seconds, label), by onset.
        weak: labels that are somewhere in the clip, without times.
    """

    table: Path
    scene: str = ""
    device: str = ""
    recording: str = ""
    events: list[tuple[float, float, str]] = field(default_factory=list)
    weak: list[str] = field(default_factory=list)


def labels_of(clip: Path, table: Path | None = None) -> ClipLabels | None:
    """The labels of a clip.

    Args:
        clip: the recording.
        table: TAB-separated, with `filename` and the columns of TAU's or DESED's tables, or a label track of this clip;
            without it the table of the TAU or DESED folder that the clip lies in.

    Returns:
        None where the clip lies in no such folder, or in one without a table (the unlabelled clips). Of a folder of own
        sounds the labels are the track beside a clip of `recordings/`, else the name of the class's folder.

    Raises:
        DataError: the file can't be read, or has times that are no numbers; a table that was named lacks the clip.
    """
    found = table or _table_of(clip)
    if found is None:
        return _of_own_sounds(clip)
    if table is not None and (track := read_track(table)) is not None:
        return ClipLabels(table, scene=_longest(track.scenes), events=sorted(track.events))
    rows = [row for row in tables.read_table(found, ("filename",)) if Path(row["filename"]).name == clip.name]
    if not rows and table is not None:
        raise DataError(f"{table} has no row for {clip.name}", hint="its column filename names the recordings")
    labels = ClipLabels(found)
    for row in rows:
        labels.scene = row.get("scene_label", "") or labels.scene
        labels.device = row.get("source_label", "") or labels.device
        labels.recording = row.get("identifier", "") or labels.recording
        labels.weak += [name.strip() for name in row.get("event_labels", "").split(",") if not tables.is_empty(name)]
        if not tables.is_empty(row.get("event_label", "")):
            try:
                labels.events.append((float(row["onset"]), float(row["offset"]), row["event_label"]))
            except (KeyError, ValueError):
                raise DataError(f"{found}: onset or offset of {clip.name} is not a number") from None
    labels.events.sort()
    return labels


def _of_own_sounds(clip: Path) -> ClipLabels | None:
    """By the folders that the clip lies in, from the innermost outwards; None where none is of own sounds."""
    place = clip.resolve()
    for parent in place.parents:
        inside = place.relative_to(parent).parts
        if parent.name == "recordings" and (track := clip.with_suffix(_SUFFIX)).is_file():
            read = read_track(track)
            return ClipLabels(track, events=sorted(read.events)) if read else None
        if parent.name in ("scenes", "events") and len(inside) > 1:
            label = normal(inside[0])
            return ClipLabels(parent, scene=label) if parent.name == "scenes" else ClipLabels(parent, weak=[label])
    return None


def _longest(scenes: list[tuple[float, float, str]]) -> str:
    seconds: dict[str, float] = defaultdict(float)
    for onset_s, offset_s, scene in scenes:
        seconds[scene] += offset_s - onset_s
    return max(seconds, key=seconds.__getitem__, default="")


def _table_of(clip: Path) -> Path | None:
    folder = clip.resolve().parent
    if folder.name == "audio" and (folder.parent / "meta.csv").is_file():
        return folder.parent / "meta.csv"
    for parent in folder.parents:
        if layout.find_desed(parent) == parent:
            for place in find_places(parent).values():
                if folder in place.folders:
                    return place.table if place.table.is_file() else None
    return None


@dataclass(frozen=True)
class Track:
    """A label track as Audacity exports it and `keras_mtl predict` writes it, times in seconds.

    Attributes:
        events: (onset, offset, label), in the order of the file.
        scenes: the same of labels that begin with "scene: ", which is taken off.
    """

    events: list[tuple[float, float, str]]
    scenes: list[tuple[float, float, str]]


def read_track(path: Path) -> Track | None:
    """Reads a label track; None where the file is none: its first line does not begin with two numbers.

    A file without lines whose name ends in `.txt` is a track without labels. Of labels with a range of frequencies, the
    range is passed over; of names with a score, as `predict` writes them, the score.

    Raises:
        DataError: the file can't be read, is not text, or has a line without two times in their order.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise DataError(f"no labels at {path}") from None
    except UnicodeDecodeError:
        raise DataError(f"{path} is not a text file") from None
    except OSError as error:
        raise DataError(f"{path} can't be read: {error.strerror}") from None
    lines = [(number, line) for number, line in enumerate(text.splitlines(), start=1) if line.strip()]
    if not lines:
        return Track([], []) if path.suffix.lower() == _SUFFIX else None
    if not _is_number(lines[0][1].split("\t")[0]):
        return None
    track = Track([], [])
    for number, line in lines:
        if line.startswith("\\"):  # the frequencies of the label above
            continue
        cells = line.split("\t", 2)
        times = [float(cell) for cell in cells[:2] if _is_number(cell)]
        if len(times) < 2 or not 0 <= times[0] <= times[1]:
            hint = "a label track has start, end and name, TAB-separated; a table has a header with filename"
            raise DataError(f"{path}, line {number}: {line.strip()[:60]!r} does not begin with two times", hint=hint)
        name = normal(without_score(cells[2].strip() if len(cells) > 2 else ""))
        (track.scenes if name.startswith(SCENE_PREFIX) else track.events).append(
            (times[0], times[1], name.removeprefix(SCENE_PREFIX))
        )
    return track


def _is_number(cell: str) -> bool:
    try:
        return math.isfinite(float(cell))
    except ValueError:
        return False
