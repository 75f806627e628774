"""Files that end before their header says, in containers of which libsndfile reads what is there without a word."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import IO

from keras_mtl.core import DataError
from keras_mtl.datasets.audio.riff import WaveLayout, wave_layout

_W64 = b"riff\x2e\x91\xcf\x11"
_OGG, _OGG_LAST = b"OggS", 4
#: A page of Ogg is shorter than this (RFC 3533).
_OGG_PAGE = 65_307
#: A length from here on stands for "not known".
_UNKNOWN = 0x7F00_0000


def require_whole(path: Path) -> WaveLayout | None:
    """Refuses a recording that is cut short, as far as its container shows.

    Returns:
        The layout of a WAV file, None of others.

    Raises:
        DataError: it is cut short.
        OSError: it can't be read.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        layout = wave_layout(file, size)
        if layout is not None:
            _require(path, layout.announced, size - layout.start)
            return layout
        file.seek(0)
        head = file.read(24)
        if head.startswith(_W64) and len(head) == 24:
            _require(path, struct.unpack_from("<Q", head, 16)[0], size)
        elif head.startswith(b"FORM"):
            _require(path, _known(8 + struct.unpack_from(">I", head, 4)[0]), size)
        elif head[:4] in (b".snd", b"dns.") and len(head) == 24:
            first, length = struct.unpack_from(">II" if head[:1] == b"." else "<II", head, 4)
            _require(path, _known(first + length), size)
        elif head.startswith(_OGG) and not _has_last_page(file, size):
            hint = "get the file again; if it was recorded from a stream: ffmpeg -i FILE -c copy NEW.ogg"
            raise DataError(f"{path} is cut short: its last page is not the end of the stream", hint=hint)
    return None


def _require(path: Path, announced: int | None, there: int) -> None:
    if announced is not None and announced > there:
        raise DataError(f"{path} is cut short: {there} of {announced} bytes", hint="get the file again")


def _known(length: int) -> int | None:
    return length if length < _UNKNOWN else None


def _has_last_page(file: IO[bytes], size: int) -> bool:
    """Whether the last page of an Ogg file is marked as the last one, and is there as a whole."""
    first = max(0, size - 2 * _OGG_PAGE)
    file.seek(first)
    end = file.read()
    place = end.rfind(_OGG)
    if place < 0 or len(end) < place + 27:
        return False
    segments = end[place + 26]
    lengths = end[place + 27 : place + 27 + segments]
    whole = len(lengths) == segments and place + 27 + segments + sum(lengths) <= len(end)
    return whole and bool(end[place + 5] & _OGG_LAST)
