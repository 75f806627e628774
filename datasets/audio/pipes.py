"""WAV files that come through a pipe, block by block. NumPy alone."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from keras_mtl.core import DataError
from keras_mtl.datasets.audio.riff import MOST_HEADER, WaveLayout, wave_layout

_PCM, _FLOAT = 1, 3


class Readable(Protocol):
    """What bytes come from, in order: a pipe."""

    def read(self, most: int, /) -> bytes:
        """At most so many bytes; none at the end."""


@dataclass(frozen=True)
class WaveStream:
    """A WAV file that comes through a pipe.

    Attributes:
        layout: what its header says.
        source: where its bytes come from, behind those of `begun`.
        begun: the first bytes of its samples.
        name: what it is called in errors.
    """

    layout: WaveLayout
    source: Readable
    begun: bytes
    name: str

    def blocks(self, frames: int) -> Iterator[np.ndarray]:
        """The samples as they come: float32 [samples, channels], at most so many at once.

        Raises:
            DataError: samples that are not finite; or, at the end, fewer bytes came than the header announces.
        """
        layout, rest = self.layout, self.begun
        decode, frame = _decoder(layout, self.name), layout.frame_bytes
        left = layout.announced
        while True:
            if left is not None:
                rest = rest[:left]
            while len(rest) >= frame:
                whole = rest[: min(len(rest) // frame, frames) * frame]
                block = decode(whole).reshape(-1, layout.channels)
                if not np.isfinite(block).all():
                    raise DataError(f"{self.name} holds samples that are not finite numbers")
                yield block
                rest = rest[len(whole) :]
                left = None if left is None else left - len(whole)
            if left is not None and left < frame:
                return
            read = read_some(self.source, frames * frame)
            if not read:
                break
            rest += read
        if left is not None:
            missing = left - len(rest)
            raise DataError(f"{self.name} is cut short: {missing} bytes are missing", hint="get the file again")


def read_some(source: Readable, most: int) -> bytes:
    """Bytes of a pipe, as many as there are by now; none at its end."""
    read = getattr(source, "read1", source.read)
    found: bytes = read(most)
    return found


def wave_stream(source: Readable, begun: bytes, name: str) -> WaveStream:
    """Reads the header of a WAV file that comes through a pipe.

    Args:
        source: the pipe.
        begun: what was read of it already.
        name: what it is called in errors.

    Raises:
        DataError: it ends before its samples, they lie too far behind its begin, or their encoding is no plain one.
    """
    while (layout := wave_layout(io.BytesIO(begun), None)) is None:
        read = read_some(source, 1 << 16) if len(begun) < MOST_HEADER else b""
        if not read:
            raise DataError(f"{name} is no WAV file that can be read: no samples behind its header")
        begun += read
    _decoder(layout, name)  # refuses what it has no way to decode, before anything is read
    return WaveStream(layout, source, begun[layout.start :], name)


def _decoder(layout: WaveLayout, name: str) -> Callable[[bytes], np.ndarray]:
    """What makes float32 samples in [-1, 1] of bytes."""
    order, size = layout.order, layout.frame_bytes // layout.channels
    if layout.frame_bytes % layout.channels == 0:
        if layout.code == _FLOAT and size in (4, 8):
            return lambda given: np.frombuffer(given, f"{order}f{size}").astype(np.float32)
        if layout.code == _PCM and size == 1:
            return lambda given: (np.frombuffer(given, np.uint8).astype(np.float32) - 128) / 128
        if layout.code == _PCM and size in (2, 4):
            return lambda given: (np.frombuffer(given, f"{order}i{size}") / 2.0 ** (8 * size - 1)).astype(np.float32)
        if layout.code == _PCM and size == 3:
            return lambda given: _from_24_bits(given, order)
    raise DataError(
        f"{name} holds samples of encoding {layout.code} with {8 * size} bits, which can't be read from a pipe",
        hint="ffmpeg -i FILE -f wav -c:a pcm_s16le -",
    )


def _from_24_bits(given: bytes, order: str) -> np.ndarray:
    parts = np.frombuffer(given, np.uint8).reshape(-1, 3)
    wide = np.zeros((len(parts), 4), np.uint8)
    wide[:, 1:] = parts if order == "<" else parts[:, ::-1]
    return (wide.view("<i4")[:, 0] / 2.0**31).astype(np.float32)
