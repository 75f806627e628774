"""TFDS builder of TAU Urban Acoustic Scenes 2022 Mobile, development set: fold 1 and the DCASE 2024 subsets of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import tensorflow_datasets as tfds

from keras_mtl.core import DataError, normal
from keras_mtl.datasets import tables
from keras_mtl.datasets.audio import Inspected, files_in, is_recording, layout
from keras_mtl.datasets.audio import files as audio_files
from keras_mtl.datasets.prepare import Census, LocalBuilder, Split, clips, present_files
from keras_mtl.datasets.tables import subset_tables

#: Split: its table, and those that stand for it where that is not there: the baselines of DCASE 2024 and 2025 have
#: tables of their own (CPJKU/dcase2025_task1_baseline 87a5f8c, dataset/dcase25.py).
_FOLD = {
    "train": ("evaluation_setup/fold1_train.csv", "split_setup/split100.csv", "evaluation_setup/split100.csv"),
    "test": ("evaluation_setup/fold1_test.csv", "split_setup/test.csv", "evaluation_setup/test.csv"),
    "evaluate": ("evaluation_setup/fold1_evaluate.csv", "split_setup/test.csv", "evaluation_setup/test.csv"),
}
#: Tables that must have labels. Those of the other clips stand in meta.csv.
_LABELLED = ("fold1_train.csv", "fold1_evaluate.csv")


class Builder(LocalBuilder):
    """1-s clips of ten city scenes, recorded by several devices; the 10-s clips of the sets of 2019 and 2020, too.

    Splits: `train`, `test` and `evaluate` of fold 1, and `split5`, `split10`, `split25`, `split50` where their tables
    are. `test` and `evaluate` are the same clips; their tables differ by whether labels stand in them.
    """

    clip_seconds = 1.0
    VERSION = tfds.core.Version("1.1.0")
    RELEASE_NOTES: ClassVar[dict[str, str]] = {
        "1.1.0": "Split `test` is fold1_test.csv, split `evaluate` is new, as are the subsets of DCASE 2024.",
        "1.0.0": "First release.",
    }
    MANUAL_DOWNLOAD_INSTRUCTIONS = f"""
    Get the development set (https://doi.org/10.5281/zenodo.6337421) and unpack all its parts into one folder,
    `{layout.TAU_FOLDER}/` with `meta.csv`, `evaluation_setup/` and `audio/`, in `manual_dir`. For the subsets of
    DCASE 2024, put `split5.csv`, `split10.csv`, `split25.csv` and `split50.csv`
    (https://github.com/CPJKU/dcase2024_task1_baseline) into `evaluation_setup/` or `split_setup/`.
    """

    def _info(self) -> tfds.core.DatasetInfo:
        return self.dataset_info_from_configs(
            features=clips.scene_features(self.labels, self.clip_s, self.sample_rate_hz),
            homepage="https://doi.org/10.5281/zenodo.6337421",
            metadata=tfds.core.MetadataDict(),
        )

    def plan(self, manual_dir: Path | None) -> dict[str, Split]:
        """See `LocalBuilder.plan`."""
        root = layout.find_tau(manual_dir) if manual_dir else None
        if root is None:
            raise DataError(f"no folder {layout.TAU_FOLDER} in {manual_dir}")
        names, hidden = files_in(root / "audio")
        there = {f"audio/{name}" for name in names}
        fold = {name: _first_there([root / table for table in places]) for name, places in _FOLD.items()}
        known = fold | subset_tables(root)
        wanted = self.only(known)
        found = {name: Census() for name in wanted}
        first = next(iter(found.values()))  # the splits have one folder and one meta.csv: these count for the first
        meta = _meta(root / "meta.csv", first)
        for name in sorted(there - meta.keys()):
            if is_recording(name):
                first.count("unnamed", name)
        for name in hidden:
            first.count("hidden", f"audio/{name}")
        read = (root / "meta.csv", root / "audio", *known.values())
        plan = {}
        for name, path in wanted.items():
            labels, rows = _labels(path, path.name in _LABELLED, meta, found[name], self.labels.scenes)
            plan[name] = self._split(root, path, labels, rows, meta, there, found[name], read)
        if not any(split.keys or split.census.missing for split in plan.values()):
            raise DataError(f"the tables in {root / 'evaluation_setup'} have headers but no rows")
        return plan

    def _split(
        self,
        root: Path,
        path: Path,
        labels: dict[str, str],
        rows: Counter[str],
        meta: dict[str, tables.Row],
        there: set[str],
        census: Census,
        read: tuple[Path, ...],
    ) -> Split:
        scenes, clip_s, rate_hz = self.labels.scenes, self.clip_s, self.sample_rate_hz
        keys = present_files(rows, there, census)
        if rows and not keys:
            why = DataError(f"none of the {census.missing} recordings that {path} names is in {root / 'audio'}")
            census.refusals.append(why)

        def example(key: str) -> dict[str, Any]:
            audio = clips.read_clip(root / key, clip_s, census, rate_hz, key)
            return clips.scene_example(
                audio_files.to_int16(audio),
                scene=scenes.index(labels[key]),
                device=meta[key].get("source_label", ""),
                recording=meta[key]["identifier"],
                filename=key,
            )

        def count(key: str, recording: Inspected) -> None:
            clips.count_changes(recording, clip_s, census, rate_hz, key)

        return Split(keys, example, census, {key: root / key for key in keys}, count, read)


def _first_there(tables_of_split: Sequence[Path]) -> Path:
    """The first table that is there; the first of all, which is then missed, where none is."""
    return next((path for path in tables_of_split if path.is_file()), tables_of_split[0])


def _meta(path: Path, census: Census) -> dict[str, tables.Row]:
    """Rows of meta.csv by file name."""
    meta: dict[str, tables.Row] = {}
    for row in tables.read_table(path, ("filename", "scene_label", "identifier")):
        name = row["filename"]
        if name not in meta:
            meta[name] = row
        elif row == meta[name]:
            census.count("repeated", name)
        else:
            census.refuse("contradictions", name, DataError(f"{path} has two rows for {name} that differ"))
    return meta


def _labels(
    path: Path, labelled: bool, meta: dict[str, tables.Row], census: Census, scenes: tuple[str, ...]
) -> tuple[dict[str, str], Counter[str]]:
    """Scenes by file name, and the number of rows for each. Where the table has no labels, they stand in meta.csv."""
    labels: dict[str, str] = {}
    rows: Counter[str] = Counter()
    # A table without rows is a fold without this part, as where only test clips are passed on.
    for row in tables.read_table(path, ("filename", *(["scene_label"] if labelled else [])), may_be_empty=True):
        name = row["filename"]
        rows[name] += 1
        if name not in meta:
            why = DataError(f"{path} names {name}, which meta.csv does not", hint="get the tables again")
            census.refuse("contradictions", name, why)
            continue
        label = normal(row.get("scene_label", meta[name]["scene_label"]))
        if label not in scenes:
            why = DataError(f'{path}: "{label}" of {name} is not a scene', hint=f"scenes are {', '.join(scenes)}")
            census.refuse("unknown_labels", name, why)
        elif label != labels.get(name, label):
            why = DataError(f'{path} labels {name} "{labels[name]}", and "{label}"')
            census.refuse("contradictions", name, why)
        elif label != normal(meta[name]["scene_label"]):
            why = DataError(f'{path} labels {name} "{label}", meta.csv "{meta[name]["scene_label"]}"')
            census.refuse("contradictions", name, why)
        elif name in labels:
            census.count("repeated", name)
        labels.setdefault(name, label)
    return labels, rows
