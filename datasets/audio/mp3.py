"""MP3 files without a length: libsndfile estimates one by the first frame's bit rate, and stops there.

A frame that says how many follow, put before the first one, makes it read all of them. The fields of a frame's header
are those of ISO/IEC 11172-3 and 13818-3, the frame "Info" is LAME's.
"""

from __future__ import annotations

import mmap
import struct
from dataclasses import dataclass
from pathlib import Path

_LENGTHS = (b"Xing", b"Info", b"VBRI")
#: kbit/s by index, of MPEG-1 and of MPEG-2 and 2.5, layer III; samples per second of MPEG-1 by index.
_KBITS_1 = (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320)
_KBITS_2 = (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160)
_RATES_HZ = (44_100, 48_000, 32_000)
#: The first frame lies within so many bytes, behind a tag.
_SEARCHED = 1 << 16


_Bytes = bytes | mmap.mmap


@dataclass(frozen=True)
class _Frame:
    """What a frame's header says: its version (1, 2, or 4 for 2.5), its bytes, and whether it has one channel."""

    version: int
    length: int
    mono: bool


def missing_length(path: Path) -> tuple[bytes, int] | None:
    """A frame with the length that an MP3 file lacks, and where the first frame lies that it belongs before.

    Returns:
        None of a file that has a length, and of one that is no MP3.
    """
    with path.open("rb") as file:
        head = file.read(10)
        if len(head) < 10 or not (head.startswith(b"ID3") or (head[0] == 0xFF and head[1] >= 0xE0)):
            return None
        tag = 10 + sum(byte << shift for byte, shift in zip(head[6:], (21, 14, 7, 0), strict=True))
        first = tag if head.startswith(b"ID3") else 0
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            for start in range(first, min(first + _SEARCHED, len(content))):
                frame = _frame(content, start)
                if frame is not None and _frame(content, start + frame.length) is not None:
                    if any(name in content[start : start + frame.length] for name in _LENGTHS):
                        return None
                    return _length_frame(content[start : start + 4], frame, _count(content, start)), start
    return None


def _count(content: _Bytes, place: int) -> int:
    """Frames from here on, up to what is none."""
    count = 0
    while (frame := _frame(content, place)) is not None:
        count += 1
        place += frame.length
    return count


def _frame(content: _Bytes, place: int) -> _Frame | None:
    if place + 4 > len(content):
        return None
    first, second, third, fourth = content[place : place + 4]
    kind, layer, bits, rate = second >> 3 & 3, second >> 1 & 3, third >> 4, third >> 2 & 3
    if first != 0xFF or second < 0xE0 or kind == 1 or layer != 1 or bits in (0, 15) or rate == 3:
        return None
    version = {3: 1, 2: 2, 0: 4}[kind]
    kbits = (_KBITS_1 if version == 1 else _KBITS_2)[bits]
    factor = 144_000 if version == 1 else 72_000
    return _Frame(version, factor * kbits // (_RATES_HZ[rate] // version) + (third >> 1 & 1), fourth >> 6 == 3)


def _length_frame(header: bytes, frame: _Frame, count: int) -> bytes:
    """A silent frame "Info" of the largest bit rate, so that everything fits, without a checksum."""
    changed = bytes([0xFF, header[1] | 1, 14 << 4 | header[2] & 0b1100, header[3]])
    largest = _frame(changed, 0)
    assert largest is not None
    side = (17 if frame.mono else 32) if frame.version == 1 else (9 if frame.mono else 17)
    return (changed + bytes(side) + b"Info" + struct.pack(">II", 1, count)).ljust(largest.length, b"\0")
