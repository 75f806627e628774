"""A bundle's `manifest.json`: sha256 and size of every file, and where the model came from; written and read back."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from keras_mtl.core import ArtifactError, to_json
from keras_mtl.firmware_host.engines import package_version
from keras_mtl.firmware_host.report import Report

SCHEMA = "keras_mtl.bundle/1"
MANIFEST = "manifest.json"
#: Beside the manifest, and not in it: 64 bytes, the Ed25519 signature of the manifest's bytes.
SIGNATURE = "manifest.sig"
#: No manifest of ours is larger by far; what is was made to exhaust memory.
_MOST_BYTES = 32 * 1024 * 1024
_SHA256 = re.compile(r"[0-9a-f]{64}")
_PROVENANCE = ("data", "recipe", "metrics", "seed", "git_revision")


@dataclass(frozen=True)
class Entry:
    """One file as a manifest has it.

    Attributes:
        path: relative to the bundle, with slashes.
        size: bytes.
        sha256: of its content, in hexadecimal.
    """

    path: str
    size: int
    sha256: str


def manifest_json(facts: Mapping[str, Any], files: Mapping[str, bytes]) -> bytes:
    """The text of `manifest.json`.

    Args:
        facts: what the bundle is; see `about` for the keys that all bundles have.
        files: content of every other file by its path.
    """
    listed = [
        {"path": path, "bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
        for path, content in sorted(files.items())
    ]
    return to_json({"schema": SCHEMA, **facts, "files": listed}).encode("utf-8")


def about(name: str, artifact: Mapping[str, Any], report: Report) -> dict[str, Any]:
    """The facts of a bundle of one artifact, beside its files.

    Returns:
        `name`, `keras_mtl` (version), `target`, `engines` (name: version), `provenance` (data with the fingerprint of
        its census, recipe with the sha256 of its file, metrics, seed, git revision: as the artifact has them)
        and `artifact`, its manifest as it is.
    """
    return {
        "name": name,
        "keras_mtl": package_version("keras_mtl"),
        "target": report.target["name"],
        "engines": {engine.engine: engine.version for engine in report.engines if engine.ran},
        "provenance": {key: artifact.get(key) for key in _PROVENANCE},
        "artifact": dict(artifact),
    }


def read_entries(folder: Path) -> tuple[Entry, ...]:
    """The files that a bundle's manifest lists.

    Raises:
        ArtifactError: there is no manifest, or it can't be read, is a link, or names a file outside of the folder.
    """
    path = folder / MANIFEST
    try:
        if path.is_symlink() or not path.is_file():
            raise ArtifactError(
                f"{folder} is not a bundle: it has no {MANIFEST} of its own", hint="name the folder of --out"
            )
        if path.stat().st_size > _MOST_BYTES:
            raise ArtifactError(f"{path} is larger than any manifest of a bundle")
        document = json.loads(path.read_text("utf-8"))
        if document["schema"] != SCHEMA:
            raise ArtifactError(f"{path} has schema {document['schema']!r}, not {SCHEMA!r}")
        entries = tuple(_entry(values) for values in document["files"])
    except OSError as error:
        raise ArtifactError(f"can't read {path}: {error.strerror}") from None
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise ArtifactError(f"{path} is not the manifest of a bundle", hint="write the bundle again") from None
    for entry in entries:
        if not _stays_inside(entry.path):
            raise ArtifactError(
                f"{path} names a file outside of its folder: {entry.path!r}", hint="don't use this folder"
            )
    if len({entry.path for entry in entries}) < len(entries) or not entries:
        raise ArtifactError(f"{path} lists no file, or one twice", hint="write the bundle again")
    return entries


def _entry(values: Mapping[str, Any]) -> Entry:
    path, size, digest = values["path"], values["bytes"], values["sha256"]
    if not isinstance(path, str) or type(size) is not int or size < 0 or not _SHA256.fullmatch(digest):
        raise ValueError("not an entry")
    path.encode("utf-8")  # half of a surrogate pair is no name of a file
    return Entry(path, size, digest)


def _stays_inside(path: str) -> bool:
    """Whether a path is plain: relative, in its shortest form, with nothing that leads upwards or to a drive."""
    parts = PurePosixPath(path).parts
    plain = bool(parts) and path.isprintable() and not set(path) & set("\\:") and str(PurePosixPath(path)) == path
    return plain and path != MANIFEST and not path.startswith("/") and not {".", ".."} & set(parts)
