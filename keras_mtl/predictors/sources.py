"""Where `keras_mtl listen` gets its sound from: a file, the standard input, or a sound card. Each in small blocks."""

from __future__ import annotations

import queue
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from keras_mtl.core import DataError
from keras_mtl.datasets.audio import Readable, read_some, wave_stream

#: Parts of a second in one block.
_BLOCKS_PER_SECOND = 10
#: Blocks that a sound card may be ahead: after that what comes is lost, and reported.
_MOST_WAITING = 50
_SAMPLE_BYTES = 2
_STANDARD_INPUT = "the standard input"
#: How sound files begin that are no raw samples.
_MAGIC_BYTES = 12
_WAVE = (b"RIFF", b"RIFX", b"RF64", b"BW64")
_OTHERS = (
    (0, b"fLaC", "FLAC"),
    (0, b"OggS", "Ogg"),
    (0, b"ID3", "MP3"),
    (0, b"FORM", "AIFF"),
    (0, b"caff", "CAF"),
    (0, b".snd", "AU"),
    (0, b"riff\x2e\x91\xcf\x11", "W64"),
    (0, b"\x1a\x45\xdf\xa3", "Matroska or WebM"),
    (4, b"ftyp", "MP4"),
)


def from_file(path: Path, rate_hz: int) -> Iterator[np.ndarray]:
    """A recording, mixed down and resampled as everywhere: float32 blocks. What is lost by that is told at its end.

    Raises:
        DataError: missing, or not a sound file.
    """
    from keras_mtl.datasets.audio import LevelMeter, mono_blocks

    meter = LevelMeter()
    yield from _small(mono_blocks(path, rate_hz, meter), rate_hz)
    for warning in meter.levels().warnings:
        _tell(f"{path}: {warning}")


def from_stream(given: Readable, rate_hz: int) -> Iterator[np.ndarray]:
    """The standard input: a WAV file of any rate (float32 blocks), or raw samples (int16 blocks).

    Raw are signed 16 bits, little-endian, one channel, at the artifact's rate. An end within a sample, or before a
    header's length, is told on stderr.

    Raises:
        DataError: another kind of sound file, or a WAV file that can't be read.
    """
    begun = b""
    while len(begun) < _MAGIC_BYTES and (read := read_some(given, _MAGIC_BYTES - len(begun))):
        begun += read
    if begun[:4] in _WAVE and begun[8:12] == b"WAVE":
        yield from _from_wave(given, begun, rate_hz)
        return
    for place, magic, kind in _OTHERS:
        if begun[place:].startswith(magic):
            hint = f"ffmpeg -i FILE -f s16le -ac 1 -ar {rate_hz} - gives raw samples, and -f wav a WAV file"
            raise DataError(f"the standard input is {kind}, not raw samples or WAV", hint=hint)
    yield from _from_raw(given, rate_hz, begun)


def _from_wave(given: Readable, begun: bytes, rate_hz: int) -> Iterator[np.ndarray]:
    """float32 blocks at the wanted rate."""
    from keras_mtl.datasets.audio import LevelMeter, resampled_blocks

    stream = wave_stream(given, begun, _STANDARD_INPUT)
    meter, own_hz = LevelMeter(), stream.layout.rate_hz
    channels = _until_cut(stream.blocks(-(-own_hz // _BLOCKS_PER_SECOND)))
    yield from _small(resampled_blocks(channels, own_hz, rate_hz, meter), rate_hz)
    for warning in meter.levels().warnings:
        _tell(f"{_STANDARD_INPUT}: {warning}")


def _until_cut(blocks: Iterator[np.ndarray]) -> Iterator[np.ndarray]:
    """What comes of a stream; why it ends early is told."""
    try:
        yield from blocks
    except DataError as error:
        _tell(str(error.message))


def _from_raw(given: Readable, rate_hz: int, begun: bytes) -> Iterator[np.ndarray]:
    """int16 blocks. A last byte that is half a sample is left out."""
    most, rest = _SAMPLE_BYTES * (rate_hz // _BLOCKS_PER_SECOND), begun
    while True:
        whole = len(rest) // _SAMPLE_BYTES * _SAMPLE_BYTES
        if whole:
            yield np.frombuffer(rest[:whole], "<i2").astype(np.int16)
        rest = rest[whole:]
        if not (read := read_some(given, most)):
            break
        rest += read
    if rest:
        _tell(f"{_STANDARD_INPUT} ends within a sample of 16 bits: its last byte is left out")


def _small(blocks: Iterator[np.ndarray], rate_hz: int) -> Iterator[np.ndarray]:
    size = rate_hz // _BLOCKS_PER_SECOND
    for block in blocks:
        for first in range(0, len(block), size):
            yield block[first : first + size]


def _tell(what: str) -> None:
    print(f"warning: {what}", file=sys.stderr)


def from_device(device: str | None, rate_hz: int) -> Iterator[np.ndarray]:
    """A sound card, until it is interrupted: int16 blocks.

    Args:
        device: its number or a part of its name; None for the system's own choice.
        rate_hz: the artifact's rate, which the card, or the system's mixer before it, must give.

    Raises:
        DataError: the library is missing, or there is no such device.
    """
    sounddevice = _sounddevice()
    waiting: queue.Queue[np.ndarray] = queue.Queue(_MOST_WAITING)
    lost = 0

    def take(block: Any, _frames: int, _time: Any, _status: Any) -> None:
        nonlocal lost
        try:
            waiting.put_nowait(np.frombuffer(bytes(block), np.int16))
        except queue.Full:
            lost += 1

    number = int(device) if device is not None and device.isdigit() else device
    size, reported = rate_hz // _BLOCKS_PER_SECOND, 0
    try:
        stream = sounddevice.RawInputStream(
            samplerate=rate_hz, blocksize=size, device=number, channels=1, dtype="int16", callback=take
        )
        with stream:
            while True:
                yield waiting.get()
                if lost > reported:
                    print(f"{lost * size / rate_hz:g} s of sound were lost: too slow", file=sys.stderr)
                    reported = lost
    except (sounddevice.PortAudioError, ValueError) as error:
        which = "the default device" if device is None else f"device {device}"
        raise DataError(f"can't record from {which}: {error}", hint="python -m sounddevice lists devices") from None


def _sounddevice() -> Any:
    try:
        import sounddevice
    except ModuleNotFoundError:
        raise DataError("a sound card needs sounddevice", hint="pip install 'keras_mtl[listen]'") from None
    except OSError as error:  # its wheel for Linux brings no PortAudio
        raise DataError(f"sounddevice can't be used: {error}", hint="install PortAudio, as libportaudio2") from None
    return sounddevice
