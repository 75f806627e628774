"""Reading recordings of any length block by block: the same samples as of `audio_files`, in constant memory."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
import soxr

from keras_mtl.core import DataError
from keras_mtl.datasets.audio.files import SAMPLE_RATE_HZ, require_recording, unreadable

_BLOCK = 1 << 16  # samples of one channel


@dataclass(frozen=True)
class AudioFormat:
    """What the header of a recording says.

    Attributes:
        rate_hz: samples per second.
        channels: their number.
        samples: of one channel.
        container, subtype: libsndfile's names, such as "WAV" and "PCM_24".
    """

    rate_hz: int
    channels: int
    samples: int
    container: str
    subtype: str

    @property
    def seconds(self) -> float:
        """The length."""
        return self.samples / self.rate_hz


def audio_format(path: str | Path) -> AudioFormat:
    """Reads the header of a recording.

    Raises:
        DataError: the file is missing, empty, cut short (as far as a wav's header shows), or not audio.
    """
    path = require_recording(path)
    try:
        with soundfile.SoundFile(path) as file:
            return AudioFormat(file.samplerate, file.channels, file.frames, file.format, file.subtype)
    except (soundfile.LibsndfileError, RuntimeError) as error:
        raise unreadable(path, error) from error


def channel_blocks(path: str | Path) -> Iterator[np.ndarray]:
    """Gives a recording as it is, in blocks: float32 [samples, channels].

    Raises:
        DataError: as of `files.read_channels`; what only the end shows is raised at the end.
    """
    path = require_recording(path)
    read = 0
    try:
        with soundfile.SoundFile(path) as file:
            announced = file.frames
            while len(block := file.read(_BLOCK, dtype="float32", always_2d=True)):
                if not np.isfinite(block).all():
                    raise DataError(f"{path} holds samples that are not finite numbers")
                read += len(block)
                yield block
    except (soundfile.LibsndfileError, RuntimeError) as error:
        raise unreadable(path, error) from error
    if read < announced:
        raise DataError(f"{path} is cut short: {read} of {announced} samples", hint="get the file again")
    if not read:
        raise DataError(f"{path} holds no samples")


def mono_blocks(path: str | Path, sample_rate_hz: int = SAMPLE_RATE_HZ) -> Iterator[np.ndarray]:
    """Gives a recording mixed down to mono and resampled, in blocks: float32 [samples] in [-1, 1].

    One after the other they are `audio.read_audio`, to the bit: soxr's stream gives what it gives at once.

    Raises:
        DataError: as of `channel_blocks`.
    """
    rate_hz = audio_format(path).rate_hz
    resampler = None
    if rate_hz != sample_rate_hz:
        resampler = soxr.ResampleStream(rate_hz, sample_rate_hz, 1, dtype="float32", quality="HQ")
    for channels in channel_blocks(path):
        mono = channels[:, 0] if channels.shape[1] == 1 else channels.mean(axis=1)
        yield _full_scale(mono if resampler is None else resampler.resample_chunk(np.ascontiguousarray(mono)))
    if resampler is not None:
        yield _full_scale(resampler.resample_chunk(np.zeros(0, np.float32), last=True))


def _full_scale(mono: np.ndarray) -> np.ndarray:
    return np.clip(mono, -1.0, 1.0).astype(np.float32, copy=False)
