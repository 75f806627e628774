"""`make dist`: sdist and wheel of what git tracks, into dist/, built twice and compared byte for byte.

The wheel is built from the unpacked sdist, as pip does. Times in both are those of the commit (SOURCE_DATE_EPOCH, if
that is set); the archive is packed anew, since setuptools writes the clock and this machine's owner into it. Nothing is
downloaded: setuptools is the environment's.
"""

from __future__ import annotations

import gzip
import hashlib
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

_ROOT = Path(__file__).resolve().parents[1]
_BUILD = "import sys; from setuptools import build_meta; getattr(build_meta, sys.argv[1])(sys.argv[2])"
_FOLDER, _FILE, _PROGRAM = 0o755, 0o644, 0o755


def main() -> None:
    """Builds, compares, and writes dist/."""
    epoch = os.environ.get("SOURCE_DATE_EPOCH") or _git("log", "-1", "--format=%ct").strip()
    with tempfile.TemporaryDirectory(prefix="keras_mtl_dist_") as name:
        first, second = (built(Path(name, place), int(epoch)) for place in ("first", "second"))
        if first != second:
            different = sorted({*first.items()} ^ {*second.items()})
            sys.exit(f"dist: two builds differ: {', '.join(file for file, _ in different)}")
        out = _ROOT / "dist"
        out.mkdir(exist_ok=True)
        for file, content in first.items():
            (out / file).write_bytes(content)
            print(f"{hashlib.sha256(content).hexdigest()}  dist/{file}  ({len(content):,} bytes, twice the same)")


def built(place: Path, epoch: int) -> dict[str, bytes]:
    """The content of both files by name, built in a new folder."""
    source, made = place / "source", place / "made"
    made.mkdir(parents=True)
    for file in _git("ls-files", "-z").split("\0"):
        if file and (_ROOT / file).is_file():
            target = source / file
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(_ROOT / file, target)
            target.chmod(_PROGRAM if os.access(_ROOT / file, os.X_OK) else _FILE)
    _backend("build_sdist", source, made, epoch)
    (sdist,) = made.glob("*.tar.gz")
    sdist.write_bytes(packed_anew(sdist, epoch))
    with tarfile.open(sdist) as archive:
        archive.extractall(place / "unpacked", filter="data")
    (unpacked,) = (place / "unpacked").iterdir()
    _backend("build_wheel", unpacked, made, epoch)
    return {path.name: path.read_bytes() for path in sorted(made.iterdir())}


def packed_anew(path: Path, epoch: int) -> bytes:
    """The bytes of a `.tar.gz` with the same files, sorted, of nobody, and of one time."""
    with tempfile.TemporaryFile() as file:
        with (
            tarfile.open(path) as given,
            gzip.GzipFile(filename="", mode="wb", fileobj=file, mtime=epoch) as zipped,
            tarfile.open(fileobj=zipped, mode="w", format=tarfile.PAX_FORMAT) as packed,
        ):
            for member in sorted(given.getmembers(), key=lambda one: one.name):
                member.uid = member.gid = 0
                member.uname = member.gname = ""
                member.mtime, member.pax_headers = epoch, {}
                member.mode = _FOLDER if member.isdir() or member.mode & 0o100 else _FILE
                packed.addfile(member, given.extractfile(member) if member.isfile() else None)
        file.seek(0)
        return file.read()


def _backend(function: str, folder: Path, out: Path, epoch: int) -> None:
    command = [sys.executable, "-P", "-c", _BUILD, function, str(out)]
    variables = {**os.environ, "SOURCE_DATE_EPOCH": str(epoch), "PYTHONHASHSEED": "0"}
    # Permissions of what setuptools writes itself are in the archives, too.
    done = subprocess.run(command, cwd=folder, env=variables, umask=0o022, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"dist: {function} failed\n{done.stdout}{done.stderr}")


def _git(*arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=_ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"dist: git {arguments[0]}: {done.stderr.strip()}; `make dist` builds a commit of a git checkout")
    return done.stdout


if __name__ == "__main__":
    main()
