"""Holds a bundle against its manifest: sizes and sha256 of all files, nothing missing, nothing more, and who signed it.

Nothing of the folder is trusted: links are not followed, and only regular files are opened.
"""

from __future__ import annotations

import hashlib
import os
import stat
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from keras_mtl.core import ArtifactError
from keras_mtl.firmware_host.bundle.release.manifest import MANIFEST, SIGNATURE, Entry, read_entries
from keras_mtl.firmware_host.bundle.release.signature import is_signed, load_public_key

SCHEMA = "keras_mtl.verification/1"
_PART_BYTES = 1 << 20
#: Links are not followed, where the system can say so; whether a path is one was asked before, too.
_AS_IT_IS = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)


@dataclass(frozen=True)
class Difference:
    """One file that is not as the manifest has it.

    Attributes:
        path: relative to the bundle.
        what: "changed", "missing", "extra", "unreadable", or "not a file" (a link, a folder, a device).
    """

    path: str
    what: str


@dataclass(frozen=True)
class Verification:
    """What came of it.

    Attributes:
        path: the bundle's folder.
        files: how many files the manifest lists.
        differences: by path; empty where all is as it was written.
        signature: "valid", "wrong", "missing" (a key was given and the bundle is not signed), "not checked" (the
            bundle is signed and no key was given) or "none".
    """

    path: Path
    files: int
    differences: tuple[Difference, ...]
    signature: str

    @property
    def passed(self) -> bool:
        """Whether every file is as it was written, and the signature, if it was to be checked, is the owner's."""
        return not self.differences and self.signature in ("valid", "not checked", "none")

    def to_dict(self) -> dict[str, Any]:
        """As plain values, for JSON."""
        return {
            "schema": SCHEMA,
            "path": str(self.path),
            "files": self.files,
            "differences": [asdict(difference) for difference in self.differences],
            "signature": self.signature,
            "verdict": "passed" if self.passed else "failed",
        }


def verify_bundle(folder: str | Path, public_key: str | Path | None = None) -> Verification:
    """Checks a bundle's folder.

    Args:
        folder: what `write_bundle` wrote.
        public_key: a PEM file; then the bundle must be signed by its owner.

    Raises:
        ArtifactError: there is no bundle, its manifest can't be read, or it names files outside of the folder.
        KerasMtlError: the key can't be used.
    """
    folder = Path(folder)
    key = load_public_key(Path(public_key)) if public_key is not None else None
    entries = {entry.path: entry for entry in read_entries(folder)}
    found = _files_of(folder)
    differences = [Difference(path, "extra") for path in found if path not in entries]
    for path, entry in entries.items():
        what = "missing" if path not in found else _difference(folder / path, entry, found[path])
        if what:
            differences.append(Difference(path, what))
    ordered = tuple(sorted(differences, key=lambda difference: difference.path))
    return Verification(folder, len(entries), ordered, _signature(folder, key))


def _files_of(folder: Path) -> dict[str, bool]:
    """Everything below the folder but its folders, its own manifest and signature: whether it is a regular file."""
    found: dict[str, bool] = {}

    def fail(error: OSError) -> None:
        raise ArtifactError(f"can't read {error.filename}: {error.strerror}")

    for place, folders, names in os.walk(folder, onerror=fail):
        links = [name for name in folders if Path(place, name).is_symlink()]
        for name in (*names, *links):
            path = Path(place, name)
            # A name may be any bytes; what can't be printed is written out.
            shown = os.fsencode(path.relative_to(folder)).decode("utf-8", "backslashreplace")
            found[shown] = stat.S_ISREG(path.lstat().st_mode)
    for own in (MANIFEST, SIGNATURE):
        if found.get(own):
            del found[own]
    return found


def _difference(path: Path, entry: Entry, regular: bool) -> str:
    if not regular:
        return "not a file"
    digest, size = hashlib.sha256(), 0
    try:
        with os.fdopen(os.open(path, _AS_IT_IS), "rb") as file:
            if os.fstat(file.fileno()).st_size != entry.size:
                return "changed"
            while part := file.read(_PART_BYTES):
                digest.update(part)
                size += len(part)
    except OSError:
        return "unreadable"
    return "" if (size, digest.hexdigest()) == (entry.size, entry.sha256) else "changed"


def _signature(folder: Path, key: Any) -> str:
    path = folder / SIGNATURE
    if path.is_symlink() or not path.is_file():
        return "none" if key is None else "missing"
    if key is None:
        return "not checked"
    try:
        return "valid" if is_signed((folder / MANIFEST).read_bytes(), path.read_bytes(), key) else "wrong"
    except OSError as error:
        raise ArtifactError(f"can't read {path}: {error.strerror}") from None
