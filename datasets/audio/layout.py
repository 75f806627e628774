"""Where the data sets lie in a user's folder, and the fingerprint of what lies there."""

from __future__ import annotations

import hashlib
import json
import os
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from tqdm.auto import tqdm

from keras_mtl.core import DataError, files
from keras_mtl.datasets.audio.listing import RECORDING_SUFFIXES, is_hidden

TAU_FOLDER = "TAU-urban-acoustic-scenes-2022-mobile-development"
#: Folders of the development sets, of 10-second clips up to 2020.
_TAU_NAME = re.compile(r"(?:TAU|TUT)-urban-acoustic-scenes-(\d{4})(-mobile|-\w+)?-development")
#: The names of DESED's folder, and those that its baselines give it.
DESED_FOLDERS = ("desed", "DESED")
_DESED_BY_BASELINES = ("dataset", "dcase/dataset")

#: DESED's isolated sounds. They are no clips: what is mixed from them has a fingerprint of its own.
DESED_SOUNDBANK = "audio/train/soundbank"

#: Folders of a folder of own sounds.
OWN_FOLDERS = ("scenes", "events", "background", "recordings", "unlabelled")

TABLE_SUFFIXES = frozenset({".csv", ".tsv"})
#: What is read of each data set.
_PARTS = {
    "tau": ("meta.csv", "evaluation_setup", "split_setup", "audio"),
    "desed": ("metadata", "audio", "dcase_synth"),
    "own": (*OWN_FOLDERS, "split.tsv"),
    "soundbank": ("foreground", "background", "distractor"),
}
#: Label tracks, which only a folder of own sounds has.
_TRACK_SUFFIX = ".txt"
#: What stands for a file that can't be read.
UNREADABLE = "unreadable"
_NAMED = 6
_AT_A_TIME = 1024  # items handed to the threads, so that memory stays flat
_THREADS = min(8, os.cpu_count() or 1)

Item = TypeVar("Item")
Result = TypeVar("Result")


def find_tau(folder: Path) -> Path | None:
    """The TAU folder: `folder` itself, or the one in it, of several the newest. None when there is none.

    An archive that was unpacked into a folder of its own name is found in there, too.
    """
    if (folder / "meta.csv").is_file() or any((folder / name).is_dir() for name in ("evaluation_setup", "split_setup")):
        return folder
    inside = [(match, path) for path in _folders(folder) if (match := _TAU_NAME.fullmatch(path.name))]
    if not inside:
        return None
    newest = max(inside, key=lambda each: (each[0][1], each[0][2] == "-mobile"))[1]
    return newest / newest.name if (newest / newest.name).is_dir() else newest


def _folders(folder: Path) -> list[Path]:
    return sorted(entry for entry in folder.iterdir() if entry.is_dir() and not is_hidden(entry.name))


def find_desed(folder: Path) -> Path | None:
    """The DESED root: `folder` itself (with `metadata` and `audio`, or `dcase_synth`), or the one in it."""
    if _is_desed(folder):
        return folder
    named = [folder / name for name in DESED_FOLDERS if (folder / name).is_dir()]
    return next(iter([*named, *(folder / name for name in _DESED_BY_BASELINES if _is_desed(folder / name))]), None)


def _is_desed(folder: Path) -> bool:
    return ((folder / "metadata").is_dir() and (folder / "audio").is_dir()) or (folder / "dcase_synth").is_dir()


def find_own(folder: Path) -> Path | None:
    """The folder, where it is one of own sounds."""
    return folder if any((folder / name).is_dir() for name in ("scenes", "events", "recordings")) else None


def require_folder(folder: Path) -> Path:
    """The folder, when it is one.

    Raises:
        DataError: there is no such folder.
    """
    if not folder.is_dir():
        what = "is a file, not a data folder" if folder.exists() else "does not exist"
        raise DataError(
            f"{folder} {what}",
            hint=f'give a folder of own sounds, one that holds {TAU_FOLDER}/ or desed/, or "soundscapes"',
        )
    return folder


def joined_fingerprint(fingerprints: Sequence[str]) -> str:
    """What stands for several data sets together."""
    return hashlib.sha256("\n".join(fingerprints).encode()).hexdigest()


def find_sets(folder: Path) -> dict[str, Path]:
    """The roots of the data sets in a folder: of "tau" and "desed", those that are there, or "own".

    Raises:
        DataError: there is none, or own sounds beside others.
    """
    roots = {"tau": find_tau(folder), "desed": find_desed(folder), "own": find_own(folder)}
    found = {name: root for name, root in roots.items() if root is not None}
    if not found:
        names = [f"{path.name}/" for path in _folders(folder)]
        more = ", ..." if len(names) > _NAMED else ""
        raise DataError(
            f"{folder} holds neither own sounds (scenes/, events/, recordings/) nor {TAU_FOLDER}/ nor desed/"
            + (f", but {', '.join(names[:_NAMED])}{more}" if names else ""),
            hint="is it the right folder? see docs/own_sounds.md and docs/data.md",
        )
    if "own" in found and len(found) > 1:
        raise DataError(f"{folder} holds own sounds beside TAU or DESED", hint="put them into folders of their own")
    return found


def fingerprint(name: str, root: Path, memory: Path | None = None, progress: bool = True) -> str:
    """sha256 over the names and the bytes of all tables and recordings: the same for every copy of the data.

    Sizes would not do: resamplers make copies at 16 kHz that differ in every sample and in no size. So each file is
    read once; after that its digest is remembered in `memory` (see `digests`).
    """
    names = sorted(path.relative_to(root).as_posix() for path in _files(root, name))
    content = hashlib.sha256(f"{name}/2".encode())
    for file, digest in digests(root, names, memory, progress).items():
        content.update(b"\n" + os.fsencode(file) + f"\t{digest}".encode())
    return content.hexdigest()


def _files(root: Path, kind: str) -> Iterator[Path]:
    suffixes = RECORDING_SUFFIXES | TABLE_SUFFIXES | ({_TRACK_SUFFIX} if kind == "own" else set())
    for part in _PARTS[kind]:
        if (root / part).is_file():
            yield root / part
        for folder, inside, names in os.walk(root / part):
            inside[:] = [name for name in inside if not is_hidden(name)]
            if kind == "desed" and (root / DESED_SOUNDBANK).parent == Path(folder):
                inside[:] = [name for name in inside if name != Path(DESED_SOUNDBANK).name]
            for name in names:
                if Path(name).suffix.lower() in suffixes and not is_hidden(name):
                    yield Path(folder, name)


def in_threads(function: Callable[[Item], Result], items: Sequence[Item]) -> Iterator[Result]:
    """What the function gives for each item, in their order, on threads: disks serve several at a time.

    The function must not raise.
    """
    with ThreadPoolExecutor(_THREADS) as threads:
        for first in range(0, len(items), _AT_A_TIME):
            yield from threads.map(function, items[first : first + _AT_A_TIME])


def digests(root: Path, names: Sequence[str], memory: Path | None = None, progress: bool = True) -> dict[str, str]:
    """The sha256 of files.

    A change that leaves size, time of change and time of status change of a file as they were goes unseen; file systems
    do not allow that to a program unless it sets them.

    Args:
        root: the folder.
        names: the files, relative to it.
        memory: a folder where digests are remembered from one call to the next; of an interrupted call, too.
        progress: whether to show a bar on stderr, if that is a terminal, while files are read.

    Returns:
        Hexadecimal digests by name, in the order of `names`; `UNREADABLE` for a file that can't be read.
    """
    kept = memory / f"{hashlib.sha256(os.fsencode(root.resolve())).hexdigest()[:24]}.json" if memory else None
    known = _remembered(kept)
    states = {name: _state(root / name) for name in names}
    found = {name: known[name][1] for name in names if name in known and known[name][0] == states[name]}
    unread = [name for name in names if name not in found]
    bar = tqdm(
        desc=f"reading {root.name}",
        unit="B",
        unit_scale=True,
        unit_divisor=1000,
        total=sum(states[name][0] for name in unread),
        file=sys.stderr,
        mininterval=0.5,
        disable=not (progress and unread and sys.stderr.isatty()),
    )
    try:
        with bar:
            for name, digest in zip(unread, in_threads(lambda name: _digest(root / name), unread), strict=True):
                found[name] = digest
                bar.update(states[name][0])
    finally:
        if kept and unread and found:
            _remember(kept, {name: (states[name], digest) for name, digest in found.items() if digest != UNREADABLE})
    return {name: found[name] for name in names}


def _state(path: Path) -> list[int]:
    """Size and times of a file; zeros for one that is gone or can't be read."""
    try:
        status = path.stat()
    except OSError:
        return [0, 0, 0]
    return [status.st_size, status.st_mtime_ns, status.st_ctime_ns]


def _digest(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return UNREADABLE


def _remembered(kept: Path | None) -> dict[str, tuple[list[int], str]]:
    try:
        found = json.loads(kept.read_text(encoding="ascii")) if kept else {}
        return {name: (state, digest) for name, (state, digest) in found.items()}
    except (OSError, ValueError, AttributeError, TypeError):
        return {}  # none, or damaged: the files are read again


def _remember(kept: Path, found: dict[str, tuple[list[int], str]]) -> None:
    try:
        files.write_bytes(kept, json.dumps(found).encode("ascii"))
    except OSError:
        return  # a full disk or a cache that is not ours: the files are read again
