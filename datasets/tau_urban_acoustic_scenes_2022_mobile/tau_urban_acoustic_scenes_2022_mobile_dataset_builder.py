"""TFDS builder of TAU Urban Acoustic Scenes 2022 Mobile, development set, fold 1."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import tensorflow_datasets as tfds

from keras_mtl.datasets import audio_files, clips, layout, tables
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
        columns = ("filename", "scene_label", "identifier", "source_label")
        meta = {row["filename"]: row for row in tables.read_table(root / "meta.csv", columns)}
        there = {f"audio/{name}" for name in listing(root / "audio")}
        return {name: _split(root, table, meta, there, self.sample_rate_hz) for name, table in _TABLES.items()}


def _split(root: Path, table: str, meta: dict[str, tables.Row], there: set[str], sample_rate_hz: int) -> Split:
    path = root / "evaluation_setup" / table
    rows: dict[str, tables.Row] = {}
    names = []
    for row in tables.read_table(path, ("filename", "scene_label")):
        name, label = row["filename"], row["scene_label"]
        if label not in SCENES:
            raise DataError(f'{path}: "{label}" of {name} is not a scene', hint=f"scenes are {', '.join(SCENES)}")
        if name not in meta:
            raise DataError(f"{path} names {name}, which meta.csv does not", hint="get the tables again")
        names.append(name)
        rows.setdefault(name, row)
    census = clips.Census()
    keys = present_files(names, there, census)
    if not keys:
        raise DataError(f"none of the {census.missing} recordings that {path} names is in {root / 'audio'}")

    def example(key: str) -> dict[str, Any]:
        audio = clips.read_clip(root / key, clips.SCENE_CLIP_S, census, sample_rate_hz)
        return clips.scene_example(
            audio_files.to_int16(audio),
            scene=SCENES.index(rows[key]["scene_label"]),
            device=meta[key]["source_label"],
            recording=meta[key]["identifier"],
            filename=key,
        )

    return Split(keys, example, census)
