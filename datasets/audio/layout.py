"""Where the data sets lie in a user's folder, and the fingerprint of what lies there."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from keras_mtl.core import DataError
from keras_mtl.datasets.audio.digests import digests
from keras_mtl.datasets.audio.files import AUDIO_SUFFIXES

TAU_FOLDER = "TAU-urban-acoustic-scenes-2022-mobile-development"
DESED_FOLDERS = ("desed", "DESED")

#: DESED's labelled splits: the table of each, and the folder of its recordings, beside which a `*_16k` twin may lie.
DESED_STRONG = {
    "strong_real": ("metadata/train/audioset_strong.tsv", "audio/train/strong_label_real"),
    "strong_synthetic": (
        "dcase_synth/metadata/train/synthetic21_train/soundscapes.tsv",
        "dcase_synth/audio/train/synthetic21_train/soundscapes",
    ),
    "synthetic_validation": (
        "dcase_synth/metadata/validation/synthetic21_validation/soundscapes.tsv",
        "dcase_synth/audio/validation/synthetic21_validation/soundscapes",
    ),
    "validation": ("metadata/validation/validation.tsv", "audio/validation/validation"),
}
DESED_WEAK = ("metadata/train/weak.tsv", "audio/train/weak")

_TABLE_SUFFIXES = frozenset({".csv", ".tsv"})
_TAU_PARTS = ("meta.csv", "evaluation_setup", "split_setup", "audio")
_DESED_PARTS = ("metadata", "audio", "dcase_synth")


def find_tau(folder: Path) -> Path | None:
    """The TAU folder: `folder` itself, or the one in it. None when there is none."""
    if (folder / "evaluation_setup").is_dir() or (folder / "meta.csv").is_file():
        return folder
    inside = folder / TAU_FOLDER
    return inside if inside.is_dir() else None


def find_desed(folder: Path) -> Path | None:
    """The DESED root: `folder` itself (with `metadata` and `audio`, or `dcase_synth`), or the one in it."""
    if ((folder / "metadata").is_dir() and (folder / "audio").is_dir()) or (folder / "dcase_synth").is_dir():
        return folder
    return next((folder / name for name in DESED_FOLDERS if (folder / name).is_dir()), None)


def require_folder(folder: Path) -> Path:
    """The folder, when it is one.

    Raises:
        DataError: there is no such folder.
    """
    if not folder.is_dir():
        what = "is a file, not a data folder" if folder.exists() else "does not exist"
        raise DataError(f"{folder} {what}", hint=f'give a folder that holds {TAU_FOLDER}/ or desed/, or "soundscapes"')
    return folder


def no_data_set(folder: Path) -> DataError:
    """What to say of a folder without any data set."""
    return DataError(
        f"{folder} holds neither {TAU_FOLDER}/ nor a DESED folder (desed/)", hint="is it the right folder?"
    )


def tau_fingerprint(root: Path, memory: Path | None = None, progress: bool = True) -> str:
    """See `_fingerprint`."""
    return _fingerprint("tau", root, _TAU_PARTS, memory, progress)


def desed_fingerprint(root: Path, memory: Path | None = None, progress: bool = True) -> str:
    """See `_fingerprint`."""
    return _fingerprint("desed", root, _DESED_PARTS, memory, progress)


def joined_fingerprint(fingerprints: Sequence[str]) -> str:
    """What stands for several data sets together."""
    return hashlib.sha256("\n".join(fingerprints).encode()).hexdigest()


def _fingerprint(kind: str, root: Path, parts: tuple[str, ...], memory: Path | None, progress: bool) -> str:
    """sha256 over the names and the bytes of all tables and recordings: the same for every copy of the data.

    Sizes would not do: resamplers make copies at 16 kHz that differ in every sample and in no size. So each file is
    read once; after that its digest is remembered in `memory` (see `digests`).
    """
    names = sorted(path.relative_to(root).as_posix() for path in _files(root, parts))
    content = hashlib.sha256(f"{kind}/2".encode())
    for name, digest in digests(root, names, memory, progress).items():
        content.update(b"\n" + os.fsencode(name) + f"\t{digest}".encode())
    return content.hexdigest()


def _files(root: Path, parts: tuple[str, ...]) -> Iterator[Path]:
    for part in parts:
        if (root / part).is_file():
            yield root / part
        for folder, _, names in os.walk(root / part):
            for name in names:
                if Path(name).suffix.lower() in AUDIO_SUFFIXES | _TABLE_SUFFIXES:
                    yield Path(folder, name)
