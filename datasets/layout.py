"""Where the data sets lie in a user's folder, and the fingerprint of what lies there."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

from keras_mtl.datasets.audio_files import AUDIO_SUFFIXES
from keras_mtl.errors import DataError

TAU_FOLDER = "TAU-urban-acoustic-scenes-2022-mobile-development"
DESED_FOLDERS = ("desed", "DESED")

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


def tau_fingerprint(root: Path) -> tuple[str, str]:
    """See `_fingerprint`."""
    return _fingerprint("tau", root, _TAU_PARTS)


def desed_fingerprint(root: Path) -> tuple[str, str]:
    """See `_fingerprint`."""
    return _fingerprint("desed", root, _DESED_PARTS)


def _fingerprint(kind: str, root: Path, parts: tuple[str, ...]) -> tuple[str, str]:
    """What the data are, and what state this copy is in.

    Returns:
        (fingerprint, stamp): sha256 over the tables' bytes and the recordings' names and sizes, the same for every copy
        of the data; and a sha256 over the times of last change as well, which sees a recording that was replaced by
        one of the same size without reading hundreds of gigabytes.
    """
    content, stamp = hashlib.sha256(kind.encode()), hashlib.sha256()
    for path in sorted(_files(root, parts)):
        status = path.stat()
        name = path.relative_to(root).as_posix()
        content.update(f"\n{name}\t{status.st_size}".encode())
        if path.suffix.lower() in _TABLE_SUFFIXES:
            content.update(path.read_bytes())
        stamp.update(f"{status.st_mtime_ns} ".encode())
    return content.hexdigest(), stamp.hexdigest()


def _files(root: Path, parts: tuple[str, ...]) -> Iterator[Path]:
    for part in parts:
        if (root / part).is_file():
            yield root / part
        for folder, _, names in os.walk(root / part):
            for name in names:
                if Path(name).suffix.lower() in AUDIO_SUFFIXES | _TABLE_SUFFIXES:
                    yield Path(folder, name)
