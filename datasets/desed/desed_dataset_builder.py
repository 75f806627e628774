"""TFDS builder of DESED as DCASE Task 4 uses it, from 2019 to 2024."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import tensorflow_datasets as tfds

from keras_mtl.core import DataError, Labels, normal
from keras_mtl.datasets import tables
from keras_mtl.datasets.audio import Inspected, files_in, is_recording, layout
from keras_mtl.datasets.audio import files as audio_files
from keras_mtl.datasets.prepare import Census, LocalBuilder, Split, clips, present_files, printable
from keras_mtl.decoding import Event

#: A clip without events may stand in this table only.
_DURATIONS = "validation_durations.tsv"
#: A column of soft labels: how many of the annotators agreed.
_CONFIDENCE, _CERTAIN = "confidence", ("", "1", "1.0")


class Builder(LocalBuilder):
    """10-s clips of homes, ten event classes.

    Splits, as far as they lie there: `strong_real`, `strong_synthetic`, `synthetic_validation`, `weak`, `unlabelled`,
    `validation`.
    """

    clip_seconds = 10.0
    VERSION = tfds.core.Version("1.2.0")
    RELEASE_NOTES: ClassVar[dict[str, str]] = {
        "1.2.0": "Synthetic clips are found in the layouts of DCASE 2019 to 2022, too.",
        "1.1.0": "Split `synthetic_validation` is new.",
        "1.0.0": "First release.",
    }
    MANUAL_DOWNLOAD_INSTRUCTIONS = """
    Get DESED by its own tools (https://github.com/turpaultn/DESED) into a folder `desed/` in `manual_dir`, with
    `audio/`, `metadata/` and `dcase_synth/`. Splits whose folder is not there are left out.
    """

    def _info(self) -> tfds.core.DatasetInfo:
        return self.dataset_info_from_configs(
            features=clips.event_features(self.labels, self.clip_s, self.sample_rate_hz),
            homepage="https://github.com/turpaultn/DESED",
            metadata=tfds.core.MetadataDict(),
        )

    def plan(self, manual_dir: Path | None) -> dict[str, Split]:
        """See `LocalBuilder.plan`."""
        root = layout.find_desed(manual_dir) if manual_dir else None
        if root is None:
            raise DataError(f"no DESED folder in {manual_dir}", hint="it holds metadata/ and audio/, or dcase_synth/")
        plan, labels = {}, self.labels
        for name, place in tables.find_places(root).items():
            census = Census()
            events: dict[str, list[Event]] = {}
            weak: dict[str, list[int]] = {}
            if name == "weak":
                weak, rows = _weak_table(place.table, census, labels)
            else:
                events, rows = _strong_table(place.table, census, labels)
            read = [place.table]
            if name == "validation":
                read.append(place.table.with_name(_DURATIONS))
                for named in _names(read[-1]):
                    events.setdefault(named, [])
                    rows.setdefault(named, 0)
            plan[name] = self._split(place, read, self._recordings(place, census), events, weak, rows, census)
        place, census = tables.unlabelled_place(root), Census()
        if found := self._recordings(place, census):
            found = _with_plain_names(found, census)
            rows = Counter(dict.fromkeys(sorted(found), 0))
            plan["unlabelled"] = self._split(place, [], found, {}, {}, rows, census)
        if not any(split.keys for split in plan.values()):
            raise DataError(f"no recordings in the DESED folders of {root}")
        return plan

    def _recordings(self, place: tables.Place, census: Census) -> dict[str, Path]:
        """Paths of a place's recordings by file name. Hidden files are counted, and passed over.

        Where the `*_16k` twin of the folder holds one as well, it is that one (no resampling), but for clips of a
        higher rate the original: nothing above 8 kHz is in the twin.
        """
        found: dict[str, Path] = {}
        of_16_khz = self.sample_rate_hz <= audio_files.SAMPLE_RATE_HZ
        for folder in place.folders if of_16_khz else reversed(place.folders):
            names, hidden = files_in(folder)
            found |= {name: folder / name for name in names if is_recording(name)}
            for name in hidden:
                census.count("hidden", name)
        return found

    def _split(
        self,
        place: tables.Place,
        read: Sequence[Path],
        found: Mapping[str, Path],
        events: Mapping[str, Sequence[Event]],
        weak: Mapping[str, Sequence[int]],
        rows: Mapping[str, int],
        census: Census,
    ) -> Split:
        labels, clip_s, rate_hz = self.labels, self.clip_s, self.sample_rate_hz
        keys = present_files(rows, found, census)
        for name in sorted(found.keys() - rows.keys()):
            census.count("unnamed", name)
        if found and not keys:
            folder = next(iter(found.values())).parent
            why = DataError(f"none of the {census.missing} recordings that {place.table} names is in {folder}")
            census.refusals.append(why)

        def inside(key: str) -> list[Event]:
            return clips.fit_events(events.get(key, ()), clip_s, census, key)

        def example(key: str) -> dict[str, Any]:
            audio = audio_files.to_int16(clips.read_clip(found[key], clip_s, census, rate_hz, key))
            return clips.event_example(labels, audio, inside(key), weak.get(key, ()), filename=key)

        def count(key: str, recording: Inspected) -> None:
            clips.count_changes(recording, clip_s, census, rate_hz, key)
            inside(key)

        paths = {key: found[key] for key in keys}
        return Split(keys, example, census, paths, count, (*read, *place.folders))


def _with_plain_names(found: Mapping[str, Path], census: Census) -> dict[str, Path]:
    """The recordings whose names are text, as prepared data have them; the others are refused."""
    plain = {name: path for name, path in found.items() if printable(name) == name}
    for name in sorted(found.keys() - plain.keys()):
        shown = found[name].parent / printable(name)
        why = DataError(f"{shown} is not named in UTF-8", hint="rename it, or unpack the archive with its encoding")
        census.refuse("unreadable", name, why)
    return plain


def _strong_table(path: Path, census: Census, labels: Labels) -> tuple[dict[str, list[Event]], Counter[str]]:
    """Events by file name, and the number of rows for each. A row without an event stands for a clip without events."""
    events: dict[str, list[Event]] = defaultdict(list)
    rows: Counter[str] = Counter()
    for row in tables.read_table(path, ("filename", "onset", "offset", "event_label")):
        if row.get(_CONFIDENCE, "1").strip() not in _CERTAIN:
            hint = "leave out the rows below a threshold, and the column"
            raise DataError(f"{path} has soft labels (column {_CONFIDENCE}), which are not read", hint=hint)
        name, here = row["filename"], events[row["filename"]]
        rows[name] += 1
        if tables.is_empty(row["event_label"]):
            continue
        event = event_of(path, row, census, labels)
        if event is None:
            continue
        if event in here:
            census.count("repeated", name)
        else:
            here.append(event)
    return dict(events), rows


def event_of(path: Path, row: tables.Row, census: Census, labels: Labels) -> Event | None:
    """The event of a row; None, and a refusal in the census, where it is none."""
    name, label = row["filename"], _label(path, row["filename"], row["event_label"], census, labels)
    try:
        onset_s, offset_s = float(row["onset"]), float(row["offset"])
    except ValueError:
        onset_s = offset_s = float("nan")
    if not (math.isfinite(onset_s) and math.isfinite(offset_s)):
        why = DataError(f"{path}: onset or offset of {name} is not a number: {row['onset']!r}, {row['offset']!r}")
        census.refuse("bad_times", name, why)
    elif not onset_s < offset_s:
        why = DataError(f"{path}: an event of {name} ends at {offset_s} s, begins at {onset_s} s")
        census.refuse("backward_events", name, why)
    elif label is not None:
        return Event(onset_s, offset_s, labels.events[label])
    return None


def _names(path: Path) -> list[str]:
    """File names of a table that need not be there."""
    return [row["filename"] for row in tables.read_table(path, ("filename",))] if path.is_file() else []


def _weak_table(path: Path, census: Census, labels: Labels) -> tuple[dict[str, list[int]], Counter[str]]:
    """Class indices by file name, and the number of rows for each."""
    for label in labels.events:
        if "," in label:
            raise DataError(f'{path} can\'t name "{label}": a comma parts two labels there', hint="rename the class")
    weak: dict[str, list[int]] = {}
    rows: Counter[str] = Counter()
    for row in tables.read_table(path, ("filename", "event_labels")):
        name = row["filename"]
        rows[name] += 1
        named = [] if tables.is_empty(row["event_labels"]) else row["event_labels"].split(",")
        found = [_label(path, name, label.strip(), census, labels) for label in named]
        known = sorted({label for label in found if label is not None})
        if name not in weak:
            weak[name] = known
        elif known == weak[name]:
            census.count("repeated", name)
        else:
            census.refuse("contradictions", name, DataError(f"{path} has two rows for {name} that differ"))
    return weak, rows


def _label(path: Path, filename: str, label: str, census: Census, labels: Labels) -> int | None:
    """The class of a label; None, and a refusal in the census, where there is none."""
    if (label := normal(label)) in labels.events:
        return labels.events.index(label)
    hint = f"classes: {', '.join(labels.events)}"
    why = DataError(f'{path}: "{label}" of {filename} is not an event class', hint=hint)
    census.refuse("unknown_labels", filename, why)
    return None
