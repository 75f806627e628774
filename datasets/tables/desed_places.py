"""Where the splits of DESED lie: in the layouts of DCASE Task 4 from 2019 to 2024.

| | synthetic clips | from |
|---|---|---|
| 2019 | `metadata/train/synthetic.csv`, `audio/train/synthetic/` | turpaultn/DCASE2019_task4 0cd430a, config.py |
| 2020 | `metadata/train/synthetic20/soundscapes.tsv`, and so in `audio/` | turpaultn/dcase20_task4 e2f61d7, config.py |
| 2021, 2022 | the same with `synthetic21_train`; `synthetic21_validation` | DCASE-REPO/DESED_task c6bcb45, confs |
| 2023, 2024 | the same in `dcase_synth/` | DCASE-REPO/DESED_task c6bcb45, confs |
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from keras_mtl.datasets.audio import files_in, is_recording, layout

#: Where the synthetic clips may lie, the newest layout first, and their splits by folder.
_SYNTHETIC_ROOTS = ("dcase_synth", "")
_SYNTHETIC = {"strong_synthetic": "train", "synthetic_validation": "validation"}
_TWIN = "_16k"


@dataclass(frozen=True)
class Place:
    """A split's table and the folder of its recordings, beside which a `*_16k` twin may lie."""

    table: Path
    folder: Path

    @property
    def folders(self) -> tuple[Path, Path]:
        """The folder and its twin."""
        return self.folder, self.folder.with_name(self.folder.name + _TWIN)

    @property
    def has_recordings(self) -> bool:
        """Whether a recording lies in one of its folders."""
        return any(is_recording(name) for folder in self.folders for name in files_in(folder)[0])

    @property
    def is_there(self) -> bool:
        """Whether there is anything of it."""
        return self.table.is_file() or self.has_recordings


def find_places(root: Path) -> dict[str, Place]:
    """The splits of a DESED folder that are there, but for the unlabelled one, in the order in which they are prepared.

    Of several places of a split the first with recordings is taken, else the first with a table.
    """
    metadata, audio = root / "metadata", root / "audio"
    known = {
        "strong_real": [Place(_table(metadata / "train/audioset_strong.tsv"), audio / "train/strong_label_real")],
        **{split: list(_synthetic(root, part)) for split, part in _SYNTHETIC.items()},
        "validation": [
            Place(_table(metadata / "validation/validation.tsv"), folder)
            for folder in (audio / "validation/validation", audio / "validation")
        ],
        "weak": [Place(_table(metadata / "train/weak.tsv"), audio / "train/weak")],
    }
    found = {}
    for split, candidates in known.items():
        whole = [place for place in candidates if place.table.is_file() and place.has_recordings]
        there = [place for place in candidates if place.is_there]
        if there:
            found[split] = (whole or there)[0]
    return found


def unlabelled_place(root: Path) -> Place:
    """The folder of the clips without labels; its table, which may be missing, only repeats their names."""
    return Place(_table(root / "metadata/train/unlabel_in_domain.tsv"), root / "audio/train/unlabel_in_domain")


def _synthetic(root: Path, part: str) -> Iterator[Place]:
    """Places of synthetic clips, the newest first: their names begin with "synthetic"."""
    for base in _SYNTHETIC_ROOTS:
        for name in _names(root, part):
            metadata = root / base / "metadata" / part
            table = _table(metadata / name / "soundscapes.tsv")
            if not table.is_file():
                table = _table(metadata / f"{name}.tsv")
            for other in (base, *(each for each in _SYNTHETIC_ROOTS if each != base)):
                audio = root / other / "audio" / part / name
                yield Place(table, audio / "soundscapes")
                yield Place(table, audio)


def _names(root: Path, part: str) -> list[str]:
    found = set()
    for base in _SYNTHETIC_ROOTS:
        for kind in ("metadata", "audio"):
            for entry in (root / base / kind / part).glob("synthetic*"):
                name = entry.stem if entry.suffix in layout.TABLE_SUFFIXES else entry.name
                found.add(name.removesuffix(_TWIN))
    return sorted(found, reverse=True)


def _table(path: Path) -> Path:
    """The table, with the other ending where that one is there: before 2020 they were called `.csv`."""
    other = path.with_suffix(".csv")
    return other if other.is_file() and not path.is_file() else path
