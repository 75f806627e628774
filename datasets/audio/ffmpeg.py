"""Recordings that libsndfile has no reader for, as m4a: decoded by ffmpeg, where that is installed."""

from __future__ import annotations

import contextlib
import functools
import os
import select
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from keras_mtl.core import DataError
from keras_mtl.datasets.audio.listing import FOREIGN_SUFFIXES
from keras_mtl.datasets.audio.pipes import WaveStream, wave_stream

_DECODER = "ffmpeg"
#: Seconds after which a decoder that gives nothing more is ended.
_TIMEOUT_S = 60.0


def is_for_ffmpeg(path: Path) -> bool:
    """Whether a file is decoded by ffmpeg: by its ending, and where ffmpeg is installed."""
    return path.suffix.lower() in FOREIGN_SUFFIXES and shutil.which(_DECODER) is not None


def way_out(path: Path) -> str:
    """What to try with a file that can't be read."""
    if path.suffix.lower() in FOREIGN_SUFFIXES:
        return (
            f"{path.suffix} files need {_DECODER}: install it, or convert the file elsewhere, ffmpeg -i FILE FILE.flac"
        )
    return "is it really a recording?"


@contextlib.contextmanager
def decoded(path: Path) -> Iterator[WaveStream]:
    """The first sound track of a file as ffmpeg decodes it, in a process of its own.

    Raises:
        DataError: ffmpeg refuses it, or gives nothing for a minute.
    """
    command = [_DECODER, "-nostdin", "-v", "error", "-protocol_whitelist", "file,pipe", "-i", f"file:{path.resolve()}"]
    command += ["-map", "0:a:0", "-f", "wav", "-c:a", "pcm_f32le", "-"]
    with tempfile.TemporaryFile() as said:
        with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=said) as process:
            assert process.stdout is not None
            try:
                yield wave_stream(_InTime(process.stdout, path), b"", str(path))
                rest = process.stdout.read(1)
            except DataError as error:
                process.kill()
                raise _refusal(path, said) or error from None
            except BaseException:
                process.kill()
                raise
        if not rest and process.returncode:
            raise _refusal(path, said) or DataError(f"{path} can't be decoded by {_DECODER}")


def frames_of(path: Path) -> int:
    """Samples of one channel in a file, for which it is decoded once.

    Raises:
        DataError: as of `decoded`.
    """
    state = path.stat()
    return _counted(path, state.st_size, state.st_mtime_ns)


@functools.lru_cache(maxsize=1024)
def _counted(path: Path, _size: int, _time: int) -> int:
    with decoded(path) as stream:
        return sum(len(block) for block in stream.blocks(1 << 16))


class _InTime:
    """A pipe that is read as far as it gives something in time."""

    def __init__(self, pipe: IO[bytes], path: Path) -> None:
        self._pipe, self._path, self._ready = pipe, path, select.poll()
        self._ready.register(pipe, select.POLLIN)

    def read(self, most: int, /) -> bytes:
        if not self._ready.poll(_TIMEOUT_S * 1000):
            raise DataError(f"{self._path}: {_DECODER} gave nothing for {_TIMEOUT_S:g} s", hint="is the file whole?")
        return os.read(self._pipe.fileno(), most)


def _refusal(path: Path, said: IO[bytes]) -> DataError | None:
    """What ffmpeg said last, as an error; None where it said nothing."""
    said.seek(0)
    lines = [line.strip() for line in said.read().decode("utf-8", "replace").splitlines() if line.strip()]
    return DataError(f"{path} can't be decoded by {_DECODER}: {lines[-1]}", hint="is it whole?") if lines else None
