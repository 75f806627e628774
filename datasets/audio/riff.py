"""WAV files as other programs leave them: where the samples lie, whatever the lengths in the header say.

RIFF, RIFX (big-endian), RF64 and BW64 (EBU Tech 3306, ITU-R BS.2088). A program that writes to a pipe can't go back to
fill in the length: sox leaves 0x7FFFF000, arecord 0x80000000, ffmpeg 0xFFFFFFFF, GStreamer and Python's `wave` 0.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import IO

_FORMS = {b"RIFF": "<", b"RIFX": ">", b"RF64": "<", b"BW64": "<"}
#: What follows a chunk, where a byte between two of them is in doubt.
_KNOWN = {b"data", b"fmt ", b"fact", b"LIST", b"bext", b"JUNK", b"junk", b"PAD ", b"cue ", b"smpl", b"iXML", b"id3 "}
#: Lengths that stand for "not known": the largest of 31 and 32 bits, by some rounded down to whole samples.
_PLACEHOLDERS = (range(0x7FFF_0000, 0x8000_1000), range(0xFFFF_0000, 0x1_0000_0000))
_ALL_ONES = (0xFFFF_FFFF, 0xFFFF_FFFF_FFFF_FFFF)
#: Largest header that is waited for in a stream: pictures of an album fit.
MOST_HEADER = 16 << 20

_EXTENSIBLE = 0xFFFE


@dataclass(frozen=True)
class WaveLayout:
    """Where the samples of a WAV file lie.

    Attributes:
        order: "<" or ">", the byte order.
        fmt: content of the chunk "fmt ".
        start: the first byte of the samples.
        there: bytes of samples that are there; None of a stream.
        announced: bytes that the header announces; None where it does not know.
        plain: whether libsndfile reads the file rightly as it is.
    """

    order: str
    fmt: bytes
    start: int
    there: int | None
    announced: int | None
    plain: bool

    @property
    def code(self) -> int:
        """The encoding: 1 whole numbers, 3 floating point; others are compressed."""
        code = self._field("H", 0)
        return self._field("H", 24) if code == _EXTENSIBLE and len(self.fmt) >= 26 else code

    @property
    def channels(self) -> int:
        """Number of channels."""
        return self._field("H", 2)

    @property
    def rate_hz(self) -> int:
        """Samples per second."""
        return self._field("I", 4)

    @property
    def frame_bytes(self) -> int:
        """Bytes of one sample of every channel; of compressed ones, of a block."""
        return self._field("H", 12)

    def _field(self, kind: str, place: int) -> int:
        found: int = struct.unpack_from(self.order + kind, self.fmt, place)[0]
        return found


def wave_layout(file: IO[bytes], size: int | None) -> WaveLayout | None:
    """Reads the chunks of a WAV file up to its samples.

    Args:
        file: the file; it can be searched.
        size: its bytes; None of the begin of a stream.

    Returns:
        None where it is no WAV file, or has no samples or no format; of a stream also where these are still to come.
    """
    file.seek(0)
    head = file.read(12)
    form = head[:4]
    order = _FORMS.get(form)
    if order is None or head[8:] != b"WAVE":
        return None
    fmt, large, position, padded = b"", None, 12, True
    while True:
        file.seek(position)
        head = file.read(8)
        if len(head) < 8:
            return None
        kind, length = head[:4], struct.unpack(f"{order}I", head[4:])[0]
        if kind == b"data":
            break
        if kind in (b"fmt ", b"ds64"):
            content = file.read(length) if length < MOST_HEADER else b""
            if kind == b"fmt " and len(content) >= 16:
                fmt = content
            elif kind == b"ds64" and len(content) >= 16:
                large = int(struct.unpack_from(f"{order}Q", content, 8)[0])
        position, as_it_should = _next_chunk(file, position + 8 + length, length % 2)
        padded &= as_it_should
    if not fmt:
        return None
    start = position + 8
    if length in _ALL_ONES and large is not None:
        length = large
    there = None if size is None else size - start
    layout = WaveLayout(order, fmt, start, there, length, padded and form != b"BW64")
    if layout.frame_bytes == 0 or layout.channels == 0 or layout.rate_hz == 0:
        return None
    return _with_lengths(layout, file, size, length)


def _with_lengths(layout: WaveLayout, file: IO[bytes], size: int | None, length: int) -> WaveLayout:
    """The layout, with what its length of samples means."""
    there, plain = layout.there, layout.plain
    unknown = length in _ALL_ONES or any(length in each for each in _PLACEHOLDERS)
    if there is None or size is None:
        announced = None if unknown or length == 0 else length
    elif (unknown or not length) and (length > there or not _ends_in_chunks(file, layout, length, size)):
        announced, plain = None, False
    else:
        announced, there = length, min(length, there)
    return WaveLayout(layout.order, layout.fmt, layout.start, there, announced, plain)


def _next_chunk(file: IO[bytes], end: int, odd: int) -> tuple[int, bool]:
    """Where the next chunk begins, and whether that is behind the pad byte that belongs to an odd length."""
    if not odd:
        return end, True
    file.seek(end)
    found = file.read(5)
    if found[1:5] not in _KNOWN and (found[:4] in _KNOWN or _is_name(found[:4])):
        return end, False
    return end + 1, True


def _is_name(kind: bytes) -> bool:
    return len(kind) == 4 and all(0x20 <= byte < 0x7F for byte in kind)


def _ends_in_chunks(file: IO[bytes], layout: WaveLayout, length: int, size: int) -> bool:
    """Whether what follows so many bytes of samples is a row of chunks up to the file's end."""
    position = layout.start + length + length % 2
    while position + 8 <= size:
        file.seek(position)
        kind, length = struct.unpack(f"{layout.order}4sI", file.read(8))
        if not _is_name(kind):
            return False
        position += 8 + length + length % 2
    return size <= position <= size + 1


def canonical(layout: WaveLayout) -> tuple[bytes, int, int]:
    """A WAV file as it should be: a header of the format alone with the length that is there, and the samples.

    Returns:
        The header; of the file, where the samples begin, and their bytes.
    """
    samples = (layout.there or 0) // layout.frame_bytes * layout.frame_bytes
    return _header(layout, samples), layout.start, samples


def _header(layout: WaveLayout, samples: int) -> bytes:
    order = layout.order

    def chunk(kind: bytes, length: int) -> bytes:
        return kind + struct.pack(f"{order}I", length)

    fmt = chunk(b"fmt ", len(layout.fmt)) + layout.fmt + b"\0" * (len(layout.fmt) % 2)
    whole = 4 + len(fmt) + 8 + samples
    if whole < 1 << 32:
        form = b"RIFF" if order == "<" else b"RIFX"
        return chunk(form, whole) + b"WAVE" + fmt + chunk(b"data", samples)
    large = chunk(b"ds64", 28) + struct.pack("<QQQI", whole + 36, samples, samples // layout.frame_bytes, 0)
    return chunk(b"RF64", 0xFFFF_FFFF) + b"WAVE" + large + fmt + chunk(b"data", 0xFFFF_FFFF)
