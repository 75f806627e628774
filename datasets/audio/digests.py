"""Digests of files: sha256 of each, read once and remembered as long as the file's size and times stay as they are."""

from __future__ import annotations

import hashlib
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from tqdm.auto import tqdm

from keras_mtl.core import files
from keras_mtl.datasets.audio.threads import in_threads

#: What stands for a file that can't be read.
UNREADABLE = "unreadable"


def digests(root: Path, names: Sequence[str], memory: Path | None = None, progress: bool = True) -> dict[str, str]:
    """The sha256 of files.

    A change that leaves size, time of change and time of status change of a file as they were goes unseen; file systems
    do not allow that to a program that does not ask for it.

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
    """Size and times of a file; zeros for one that is gone or can't be asked."""
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
