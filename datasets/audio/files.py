"""Reading recordings: any file that libsndfile knows, as mono float samples at the rate the features need."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
import soxr

from keras_mtl.core import DataError

#: Sample rate of clips and features where no other one is asked for, in Hz.
SAMPLE_RATE_HZ = 16_000

#: File name endings that are taken for recordings when a folder is listed.
AUDIO_SUFFIXES = frozenset({".wav", ".flac", ".ogg", ".mp3", ".aiff", ".aif", ".w64", ".rf64"})

#: Endings of common recordings (and films) that libsndfile has no reader for.
_FOREIGN_SUFFIXES = frozenset({".m4a", ".mp4", ".aac", ".wma", ".webm", ".mka", ".mkv", ".mov", ".amr", ".3gp", ".ape"})

_STREAMED_BYTES = (0, 0xFFFFFFFF)  # what programs that write to a pipe leave as the length

#: Bytes of a sample in the encodings of which a header tells all: nothing that was decoded could be wrong.
_PLAIN_BYTES = {"PCM_U8": 1, "PCM_S8": 1, "PCM_16": 2, "PCM_24": 3, "PCM_32": 4}


@dataclass(frozen=True)
class Recording:
    """What a recording is: samples of each channel, channels, and samples per second."""

    frames: int
    channels: int
    rate_hz: int

    @property
    def seconds(self) -> float:
        """Its length."""
        return self.frames / self.rate_hz


def read_audio(path: str | Path, sample_rate_hz: int = SAMPLE_RATE_HZ) -> np.ndarray:
    """Reads a recording, mixes it down to mono and resamples it (soxr, quality "HQ").

    Args:
        path: a file of any format that libsndfile reads, any rate, any number of channels.
        sample_rate_hz: rate of the result, in Hz.

    Returns:
        float32 [samples], in [-1, 1]. A 16-bit mono file of that rate comes back exactly, as sample / 32768.

    Raises:
        DataError: as of `read_channels`.
    """
    return to_mono(*read_channels(path), sample_rate_hz)


def to_mono(channels: np.ndarray, rate_hz: int, sample_rate_hz: int = SAMPLE_RATE_HZ) -> np.ndarray:
    """Mixes [samples, channels] down and resamples the result: float32 [samples], in [-1, 1]."""
    mono = channels[:, 0] if channels.shape[1] == 1 else channels.mean(axis=1)
    if rate_hz != sample_rate_hz:
        mono = soxr.resample(mono, rate_hz, sample_rate_hz, quality="HQ")
    return np.clip(mono, -1.0, 1.0).astype(np.float32, copy=False)


def read_channels(path: str | Path) -> tuple[np.ndarray, int]:
    """Reads a recording as it is: float32 [samples, channels], and its rate in Hz.

    Raises:
        DataError: the file is missing, empty, cut short, not audio, or holds values that are not finite.
    """
    path = require_recording(path)
    try:
        with soundfile.SoundFile(path) as file:
            announced, rate_hz = file.frames, file.samplerate
            channels = file.read(dtype="float32", always_2d=True)
    except (soundfile.LibsndfileError, RuntimeError) as error:
        raise unreadable(path, error) from error
    if len(channels) < announced:
        raise DataError(f"{path} is cut short: {len(channels)} of {announced} samples", hint="get the file again")
    if not len(channels):
        raise DataError(f"{path} holds no samples")
    if not np.isfinite(channels).all():
        raise DataError(f"{path} holds samples that are not finite numbers")
    return channels, rate_hz


def inspect(path: str | Path) -> Recording:
    """What `read_channels` would read, and refuses what it would refuse.

    Of a WAV file with whole-number samples the header tells that, and no sample is decoded. Samples of all other
    kinds are: numbers with a point may be NaN, and compressed ones may be damaged.

    Raises:
        DataError: as of `read_channels`.
    """
    path = require_recording(path)
    try:
        with soundfile.SoundFile(path) as file:
            found = Recording(file.frames, file.channels, file.samplerate)
            sample_bytes = _PLAIN_BYTES.get(file.subtype, 0) if file.format in ("WAV", "WAVEX") else 0
    except (soundfile.LibsndfileError, RuntimeError) as error:
        raise unreadable(path, error) from error
    if sample_bytes and 0 < found.frames * found.channels * sample_bytes <= path.stat().st_size:
        return found
    channels, rate_hz = read_channels(path)
    return Recording(len(channels), channels.shape[1], rate_hz)


def require_recording(path: str | Path) -> Path:
    """The path, when a file lies there that is not empty and, if it is a wav, as long as its header says.

    Raises:
        DataError: otherwise.
    """
    path = Path(path)
    _refuse_cut_short(path)
    return path


def unreadable(path: Path, error: Exception) -> DataError:
    """What libsndfile's refusal of a file means for the user, as an error to raise."""
    reason = " ".join(str(getattr(error, "error_string", error)).removeprefix("Error : ").split())
    hint = "is it really a recording?"
    if path.suffix.lower() in _FOREIGN_SUFFIXES:
        hint = f"{path.suffix} files are not supported; convert it first: ffmpeg -i FILE FILE.flac"
    return DataError(f"{path} can't be read as audio: {reason}", hint=hint)


def to_int16(audio: np.ndarray) -> np.ndarray:
    """Samples in [-1, 1] as int16, full scale 32768: the inverse of dividing by 32768."""
    return np.clip(np.rint(audio * 32768.0), -32768, 32767).astype(np.int16)


def _refuse_cut_short(path: Path) -> None:
    """Refuses a file that is not there, empty, or shorter than its header says."""
    if not path.is_file():
        raise DataError(f"no recording at {path}")
    try:
        size = path.stat().st_size
        if size == 0:
            raise DataError(f"{path} is empty (0 bytes)", hint="get the file again")
        announced = _announced_bytes(path, size)
    except OSError as error:
        raise DataError(f"{path} can't be read: {error.strerror}", hint="is it yours to read?") from error
    if announced is not None and announced[0] > announced[1]:
        raise DataError(f"{path} is cut short: {announced[1]} of {announced[0]} bytes", hint="get the file again")


def _announced_bytes(path: Path, size: int) -> tuple[int, int] | None:
    """Bytes of samples that a RIFF header announces, and those that follow; None where it announces nothing.

    libsndfile reads what ends early as if it were meant so.
    """
    with path.open("rb") as file:
        if file.read(4) != b"RIFF":
            return None
        position = 12
        while position + 8 <= size:
            file.seek(position)
            kind, length = struct.unpack("<4sI", file.read(8))
            if kind == b"data":
                return None if length in _STREAMED_BYTES else (length, size - position - 8)
            position += 8 + length + length % 2
    return None
