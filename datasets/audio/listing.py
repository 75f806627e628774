"""Which files of a folder are recordings, and which are only what a system leaves beside them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

#: File name endings that are taken for recordings when a folder is listed: those that libsndfile reads.
AUDIO_SUFFIXES = frozenset(
    {".wav", ".wave", ".bwf", ".rf64", ".w64", ".flac", ".ogg", ".oga", ".opus", ".mp3"}
    | {".aiff", ".aif", ".aifc", ".au", ".snd", ".caf"}
)

#: Endings of common recordings (and films) that libsndfile has no reader for; ffmpeg decodes them.
FOREIGN_SUFFIXES = frozenset(
    {".m4a", ".m4b", ".mp4", ".aac", ".wma", ".webm", ".mka", ".mkv", ".mov", ".avi", ".amr", ".3gp", ".ape", ".wv"}
)
RECORDING_SUFFIXES = AUDIO_SUFFIXES | FOREIGN_SUFFIXES

#: Folders in which systems and programs keep copies and waste.
_WASTE = frozenset({"__macosx", "@eadir", "$recycle.bin", "system volume information", "lost+found", "__pycache__"})


def is_hidden(name: str) -> bool:
    """Whether a file or folder is passed over: hidden ones, as macOS' `._NAME`, and the waste of systems."""
    return name.startswith(".") or name.lower() in _WASTE


def is_recording(name: str) -> bool:
    """Whether a file is called as a recording is."""
    return Path(name).suffix.lower() in RECORDING_SUFFIXES


def files_in(folder: Path) -> tuple[set[str], list[str]]:
    """Names of the files in a folder, and those of hidden recordings, which are passed over, sorted.

    Both are empty when there is no such folder. Links to nothing are no files.
    """
    if not folder.is_dir():
        return set(), []
    with os.scandir(folder) as entries:
        names = {entry.name for entry in entries if entry.is_file()}
    hidden = {name for name in names if is_hidden(name)}
    return names - hidden, sorted(name for name in hidden if is_recording(name))


def recordings_below(folder: Path, hidden: bool = False) -> list[Path]:
    """The recordings in a folder and in those within it, sorted; or the hidden ones, which are passed over."""
    return sorted(path for path in walk(folder, hidden) if is_recording(path.name))


def walk(folder: Path, hidden: bool = False) -> Iterator[Path]:
    """The files in a folder and in those within it, but for the hidden; or the hidden alone."""
    for place, inside, names in os.walk(folder):
        if not hidden:
            inside[:] = [name for name in inside if not is_hidden(name)]
        waste = hidden and any(is_hidden(part) for part in Path(place).relative_to(folder).parts)
        for name in names:
            path = Path(place, name)
            if (waste or is_hidden(name)) == hidden and path.is_file():
                yield path
