"""TFDS builder of DESED as DCASE 2023 Task 4 uses it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import tensorflow_datasets as tfds

from keras_mtl.datasets import audio_files, clips, layout, tables
from keras_mtl.datasets.local_builder import LocalBuilder, Split, listing, present_files
from keras_mtl.errors import DataError
from keras_mtl.labels import EVENTS

_SYNTHETIC = "train/synthetic21_train"
_SYNTHETIC_VALIDATION = "validation/synthetic21_validation"

#: Split: its table and its folder of recordings.
_STRONG = {
    "strong_real": ("metadata/train/audioset_strong.tsv", "audio/train/strong_label_real"),
    "strong_synthetic": (
        f"dcase_synth/metadata/{_SYNTHETIC}/soundscapes.tsv",
        f"dcase_synth/audio/{_SYNTHETIC}/soundscapes",
    ),
    "synthetic_validation": (
        f"dcase_synth/metadata/{_SYNTHETIC_VALIDATION}/soundscapes.tsv",
        f"dcase_synth/audio/{_SYNTHETIC_VALIDATION}/soundscapes",
    ),
    "validation": ("metadata/validation/validation.tsv", "audio/validation/validation"),
}
#: A clip without events may stand in this table only.
_DURATIONS = "metadata/validation/validation_durations.tsv"
_WEAK = ("metadata/train/weak.tsv", "audio/train/weak")
_UNLABELLED = "audio/train/unlabel_in_domain"


class Builder(LocalBuilder):
    """10-s clips of homes, ten event classes.

    Splits, as far as they lie there: `strong_real`, `strong_synthetic`, `synthetic_validation`, `weak`, `unlabelled`,
    `validation`.
    """

    VERSION = tfds.core.Version("1.1.0")
    RELEASE_NOTES: ClassVar[dict[str, str]] = {
        "1.1.0": "Split `synthetic_validation` is new.",
        "1.0.0": "First release.",
    }
    MANUAL_DOWNLOAD_INSTRUCTIONS = """
    Get DESED by its own tools (https://github.com/turpaultn/DESED) into a folder `desed/` in `manual_dir`, with
    `audio/`, `metadata/` and `dcase_synth/`. Splits whose folder is not there are left out.
    """

    def _info(self) -> tfds.core.DatasetInfo:
        return self.dataset_info_from_configs(
            features=clips.event_features(self.sample_rate_hz),
            homepage="https://github.com/turpaultn/DESED",
            metadata=tfds.core.MetadataDict(),
        )

    def _plan(self, manual_dir: Path | None) -> dict[str, Split]:
        root = layout.find_desed(manual_dir) if manual_dir else None
        if root is None:
            raise DataError(f"no DESED folder in {manual_dir}", hint="it holds metadata/ and audio/, or dcase_synth/")
        plan, rate_hz = {}, self.sample_rate_hz
        for name, (table, folder) in _STRONG.items():
            found = _recordings(root / folder, rate_hz)
            if found or (root / table).is_file():
                events = _strong_table(root / table)
                if name == "validation":
                    events |= {name: [] for name in _names(root / _DURATIONS) if name not in events}
                plan[name] = _split(root / table, found, events, {}, rate_hz)
        table, folder = _WEAK
        found = _recordings(root / folder, rate_hz)
        if found or (root / table).is_file():
            weak = _weak_table(root / table)
            plan["weak"] = _split(root / table, found, {name: [] for name in weak}, weak, rate_hz)
        if found := _recordings(root / _UNLABELLED, rate_hz):
            plan["unlabelled"] = _split(root / _UNLABELLED, found, {name: [] for name in sorted(found)}, {}, rate_hz)
        if not any(split.keys for split in plan.values()):
            raise DataError(f"no recordings in the DESED folders of {root}")
        return plan


def _recordings(folder: Path, sample_rate_hz: int) -> dict[str, Path]:
    """Paths of a folder's recordings by file name.

    Where a `*_16k` twin of the folder holds one as well, it is that one (no resampling), but for clips of a higher
    rate the original: nothing above 8 kHz is in the twin.
    """
    places = [folder, folder.with_name(f"{folder.name}_16k")]
    found = {}
    for place in places if sample_rate_hz <= audio_files.SAMPLE_RATE_HZ else reversed(places):
        for name in listing(place):
            if Path(name).suffix.lower() in audio_files.AUDIO_SUFFIXES:
                found[name] = place / name
    return found


def _split(
    table: Path,
    found: Mapping[str, Path],
    events: Mapping[str, Sequence[clips.Event]],
    weak: Mapping[str, Sequence[int]],
    sample_rate_hz: int,
) -> Split:
    census = clips.Census()
    keys = present_files(list(events), set(found), census)
    if found and not keys:
        folder = next(iter(found.values())).parent
        raise DataError(f"none of the {census.missing} recordings that {table} names is in {folder}")

    def example(key: str) -> dict[str, Any]:
        audio = clips.read_clip(found[key], clips.EVENT_CLIP_S, census, sample_rate_hz)
        inside = clips.fit_events(events[key], clips.EVENT_CLIP_S, census)
        return clips.event_example(audio_files.to_int16(audio), inside, weak.get(key, ()), filename=key)

    return Split(keys, example, census)


def _strong_table(path: Path) -> dict[str, list[clips.Event]]:
    """Events by file name. A row without an event stands for a clip without events."""
    events: dict[str, list[clips.Event]] = defaultdict(list)
    for row in tables.read_table(path, ("filename", "onset", "offset", "event_label")):
        here = events[row["filename"]]
        if tables.is_empty(row["event_label"]):
            continue
        try:
            onset_s, offset_s = float(row["onset"]), float(row["offset"])
        except ValueError as error:
            raise DataError(f"{path}: onset or offset of {row['filename']} is not a number") from error
        if not onset_s < offset_s:
            raise DataError(f"{path}: an event of {row['filename']} ends at {offset_s} s, begins at {onset_s} s")
        event = clips.Event(_label(path, row["filename"], row["event_label"]), onset_s, offset_s)
        if event not in here:
            here.append(event)
    return dict(events)


def _names(path: Path) -> list[str]:
    """File names of a table that need not be there."""
    return [row["filename"] for row in tables.read_table(path, ("filename",))] if path.is_file() else []


def _weak_table(path: Path) -> dict[str, list[int]]:
    """Class indices by file name."""
    weak: dict[str, list[int]] = {}
    for row in tables.read_table(path, ("filename", "event_labels")):
        named = [] if tables.is_empty(row["event_labels"]) else row["event_labels"].split(",")
        weak[row["filename"]] = [_label(path, row["filename"], label.strip()) for label in named]
    return weak


def _label(path: Path, filename: str, label: str) -> int:
    if label not in EVENTS:
        raise DataError(f'{path}: "{label}" of {filename} is not an event class', hint=f"classes: {', '.join(EVENTS)}")
    return EVENTS.index(label)
