"""Where `keras_mtl listen` gets its sound from: a file, the standard input, or a sound card. Each in small blocks."""

from __future__ import annotations

import queue
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import numpy as np

from keras_mtl.core import DataError

#: Parts of a second in one block.
_BLOCKS_PER_SECOND = 10
#: Blocks that a sound card may be ahead: after that what comes is lost, and reported.
_MOST_WAITING = 50
_SAMPLE_BYTES = 2


def from_file(path: Path, rate_hz: int) -> Iterator[np.ndarray]:
    """A recording, mixed down and resampled as everywhere: float32 blocks.

    Raises:
        DataError: missing, or not a sound file.
    """
    from keras_mtl.datasets.audio import mono_blocks

    size = rate_hz // _BLOCKS_PER_SECOND
    for block in mono_blocks(path, rate_hz):
        for first in range(0, len(block), size):
            yield block[first : first + size]


def from_raw(given: IO[bytes], rate_hz: int) -> Iterator[np.ndarray]:
    """Raw samples, signed 16 bits, little-endian, one channel, at the artifact's rate: int16 blocks.

    Raises:
        DataError: it ends within a sample.
    """
    most, rest = _SAMPLE_BYTES * (rate_hz // _BLOCKS_PER_SECOND), b""
    while read := (given.read1(most) if hasattr(given, "read1") else given.read(most)):
        rest += read
        whole = len(rest) // _SAMPLE_BYTES * _SAMPLE_BYTES
        yield np.frombuffer(rest[:whole], "<i2").astype(np.int16)
        rest = rest[whole:]
    if rest:
        raise DataError(
            "the standard input ends within a sample of 16 bits",
            hint=f"raw samples are wanted: ffmpeg -i FILE -f s16le -ac 1 -ar {rate_hz} -",
        )


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
