"""TFDS builder of TAU Urban Acoustic Scenes 2022 Mobile, development set, fold 1."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any, ClassVar

import tensorflow_datasets as tfds

from keras_mtl.datasets import audio_files, clips, layout, tables
from keras_mtl.datasets.census import Census
from keras_mtl.datasets.local_builder import LocalBuilder, Split, listing, present_files
from keras_mtl.errors import DataError
from keras_mtl.labels import SCENES

#: The labels of fold1_test.csv stand in fold1_evaluate.csv.
_TABLES = {"train": "fold1_train.csv", "test": "fold1_evaluate.csv"}


class Builder(LocalBuilder):
    """1-s clips of ten city scenes, recorded by several devices; splits `train` and `test`."""

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES: ClassVar[dict[str, str]] = {"1.0.0": "First release."}
    MANUAL_DOWNLOAD_INSTRUCTIONS = f"""
    Get the development set (https://doi.org/10.5281/zenodo.6337421) and unpack all its parts into one folder,
    `{layout.TAU_FOLDER}/` with `meta.csv`, `evaluation_setup/` and `audio/`, in `manual_dir`.
    """

    def _info(self) -> tfds.core.DatasetInfo:
        return self.dataset_info_from_configs(
            features=clips.scene_features(self.sample_rate_hz),
            homepage="https://doi.org/10.5281/zenodo.6337421",
            metadata=tfds.core.MetadataDict(),
        )

    def _plan(self, manual_dir: Path | None) -> dict[str, Split]:
        root = layout.find_tau(manual_dir) if manual_dir else None
        if root is None:
            raise DataError(f"no folder {layout.TAU_FOLDER} in {manual_dir}")
        there = {f"audio/{name}" for name in listing(root / "audio")}
        found = {name: Census() for name in _TABLES}
        first = next(iter(found.values()))  # the splits have one folder and one meta.csv: these count for the first
        meta = _meta(root / "meta.csv", first)
        for name in sorted(there - meta.keys()):
            if Path(name).suffix.lower() in audio_files.AUDIO_SUFFIXES:
                first.count("unnamed", name)
        rate_hz = self.sample_rate_hz
        return {name: _split(root, table, meta, there, found[name], rate_hz) for name, table in _TABLES.items()}


def _meta(path: Path, census: Census) -> dict[str, tables.Row]:
    """Rows of meta.csv by file name."""
    meta: dict[str, tables.Row] = {}
    for row in tables.read_table(path, ("filename", "scene_label", "identifier", "source_label")):
        name = row["filename"]
        if name not in meta:
            meta[name] = row
        elif row == meta[name]:
            census.count("repeated", name)
        else:
            census.refuse("contradictions", name, DataError(f"{path} has two rows for {name} that differ"))
    return meta


def _labels(path: Path, meta: dict[str, tables.Row], census: Census) -> tuple[dict[str, str], Counter[str]]:
    """Scenes by file name, and the number of rows for each."""
    labels: dict[str, str] = {}
    rows: Counter[str] = Counter()
    for row in tables.read_table(path, ("filename", "scene_label")):
        name, label = row["filename"], row["scene_label"]
        rows[name] += 1
        if label not in SCENES:
            why = DataError(f'{path}: "{label}" of {name} is not a scene', hint=f"scenes are {', '.join(SCENES)}")
            census.refuse("unknown_labels", name, why)
        elif name not in meta:
            why = DataError(f"{path} names {name}, which meta.csv does not", hint="get the tables again")
            census.refuse("contradictions", name, why)
        elif label != labels.get(name, label):
            why = DataError(f'{path} says that {name} is "{labels[name]}", and that it is "{label}"')
            census.refuse("contradictions", name, why)
        elif label != meta[name]["scene_label"]:
            why = DataError(f'{path} says that {name} is "{label}", meta.csv "{meta[name]["scene_label"]}"')
            census.refuse("contradictions", name, why)
        elif name in labels:
            census.count("repeated", name)
        labels.setdefault(name, label)
    return labels, rows


def _split(
    root: Path, table: str, meta: dict[str, tables.Row], there: set[str], census: Census, sample_rate_hz: int
) -> Split:
    path = root / "evaluation_setup" / table
    labels, rows = _labels(path, meta, census)
    keys = present_files(rows, there, census)
    if not keys:
        why = DataError(f"none of the {census.missing} recordings that {path} names is in {root / 'audio'}")
        census.refusals.append(why)

    def example(key: str) -> dict[str, Any]:
        audio = clips.read_clip(root / key, clips.SCENE_CLIP_S, census, sample_rate_hz, key)
        return clips.scene_example(
            audio_files.to_int16(audio),
            scene=SCENES.index(labels[key]),
            device=meta[key]["source_label"],
            recording=meta[key]["identifier"],
            filename=key,
        )

    def count(key: str, recording: audio_files.Recording) -> None:
        clips.count_changes(recording, clips.SCENE_CLIP_S, census, sample_rate_hz, key)

    return Split(keys, example, census, {key: root / key for key in keys}, count)
