"""Reading recordings: any file that libsndfile knows, whole or block by block in constant memory."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
import soxr

from keras_mtl.core import DataError

#: Sample rate of clips and features by default, in Hz.
SAMPLE_RATE_HZ = 16_000

#: File name endings that are taken for recordings when a folder is listed.
AUDIO_SUFFIXES = frozenset({".wav", ".flac", ".ogg", ".mp3", ".aiff", ".aif", ".w64", ".rf64"})

#: Endings of common recordings (and films) that libsndfile has no reader for.
FOREIGN_SUFFIXES = frozenset({".m4a", ".mp4", ".aac", ".wma", ".webm", ".mka", ".mkv", ".mov", ".amr", ".3gp", ".ape"})

_BLOCK = 1 << 16  # samples of one channel
_STREAMED_BYTES = (0, 0xFFFFFFFF)  # what programs that write to a pipe leave as the length

#: Bytes of a sample in the encodings whose header is enough: no sample of them can be wrong.
_PLAIN_BYTES = {"PCM_U8": 1, "PCM_S8": 1, "PCM_16": 2, "PCM_24": 3, "PCM_32": 4}


@dataclass(frozen=True)
class AudioFormat:
    """The format of a recording.

    Attributes:
        rate_hz: samples per second.
        channels: their number.
        samples: of one channel.
        container, subtype: libsndfile's names, such as "WAV" and "PCM_24"; empty where they are not known.
    """

    rate_hz: int
    channels: int
    samples: int
    container: str = ""
    subtype: str = ""

    @property
    def seconds(self) -> float:
        """The length in seconds."""
        return self.samples / self.rate_hz


def read_audio(path: str | Path, sample_rate_hz: int = SAMPLE_RATE_HZ) -> np.ndarray:
    """Reads a recording, mixes it down to mono and resamples it (soxr, quality "HQ").

    Args:
        path: a file of any format that libsndfile reads, any rate, any number of channels.
        sample_rate_hz: rate of the result, in Hz.

    Returns:
        float32 [samples], in [-1, 1]. A 16-bit mono file of that rate comes back exactly, as sample / 32768.

    Raises:
        DataError: as of `channel_blocks`.
    """
    return to_mono(*read_channels(path), sample_rate_hz)


def to_mono(channels: np.ndarray, rate_hz: int, sample_rate_hz: int = SAMPLE_RATE_HZ) -> np.ndarray:
    """Mixes [samples, channels] down and resamples the result: float32 [samples], in [-1, 1]."""
    mono = _mixed(channels)
    return _full_scale(
        mono if rate_hz == sample_rate_hz else soxr.resample(mono, rate_hz, sample_rate_hz, quality="HQ")
    )


def read_channels(path: str | Path) -> tuple[np.ndarray, int]:
    """Reads a recording as it is: float32 [samples, channels], and its rate in Hz.

    Raises:
        DataError: as of `channel_blocks`.
    """
    return np.concatenate(list(channel_blocks(path))), audio_format(path).rate_hz


def channel_blocks(path: str | Path) -> Iterator[np.ndarray]:
    """Gives a recording as it is, in blocks: float32 [samples, channels].

    Raises:
        DataError: the file is missing, empty, cut short, not audio, or holds values that are not finite; what only the
            end shows is raised at the end.
    """
    path = _require_recording(path)
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
        raise _unreadable(path, error) from error
    if read < announced:
        raise DataError(f"{path} is cut short: {read} of {announced} samples", hint="get the file again")
    if not read:
        raise DataError(f"{path} holds no samples")


def mono_blocks(path: str | Path, sample_rate_hz: int = SAMPLE_RATE_HZ) -> Iterator[np.ndarray]:
    """Gives a recording mixed down to mono and resampled, in blocks: float32 [samples] in [-1, 1].

    One after the other they are `read_audio`, to the bit: soxr's stream gives what it gives at once.

    Raises:
        DataError: as of `channel_blocks`.
    """
    rate_hz = audio_format(path).rate_hz
    resampler = None
    if rate_hz != sample_rate_hz:
        resampler = soxr.ResampleStream(rate_hz, sample_rate_hz, 1, dtype="float32", quality="HQ")
    for channels in channel_blocks(path):
        mono = _mixed(channels)
        yield _full_scale(mono if resampler is None else resampler.resample_chunk(np.ascontiguousarray(mono)))
    if resampler is not None:
        yield _full_scale(resampler.resample_chunk(np.zeros(0, np.float32), last=True))


def audio_format(path: str | Path) -> AudioFormat:
    """Reads the header of a recording.

    Raises:
        DataError: the file is missing, empty, cut short (as far as a wav's header shows), or not audio.
    """
    path = _require_recording(path)
    try:
        with soundfile.SoundFile(path) as file:
            return AudioFormat(file.samplerate, file.channels, file.frames, file.format, file.subtype)
    except (soundfile.LibsndfileError, RuntimeError) as error:
        raise _unreadable(path, error) from error


def inspect(path: str | Path) -> AudioFormat:
    """The format of what `read_channels` would read; refuses what it would refuse.

    The header of a WAV file with whole-number samples is enough for that, and no sample is decoded. Samples of all
    other kinds are: numbers with a point may be NaN, and compressed ones may be damaged.

    Raises:
        DataError: as of `channel_blocks`.
    """
    found = audio_format(path)
    sample_bytes = _PLAIN_BYTES.get(found.subtype, 0) if found.container in ("WAV", "WAVEX") else 0
    if sample_bytes and 0 < found.samples * found.channels * sample_bytes <= Path(path).stat().st_size:
        return found
    channels, rate_hz = read_channels(path)
    return AudioFormat(rate_hz, channels.shape[1], len(channels), found.container, found.subtype)


def _require_recording(path: str | Path) -> Path:
    """The path, when a file lies there that is not empty and, if it is a wav, as long as its header has it.

    Raises:
        DataError: otherwise.
    """
    path = Path(path)
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
    return path


def _unreadable(path: Path, error: Exception) -> DataError:
    """What libsndfile's refusal of a file means for the user, as an error to raise."""
    reason = " ".join(str(getattr(error, "error_string", error)).removeprefix("Error : ").split())
    hint = "is it really a recording?"
    if path.suffix.lower() in FOREIGN_SUFFIXES:
        hint = f"{path.suffix} files are not supported; convert it first: ffmpeg -i FILE FILE.flac"
    return DataError(f"{path} can't be read as audio: {reason}", hint=hint)


def to_int16(audio: np.ndarray) -> np.ndarray:
    """Samples in [-1, 1] as int16, full scale 32768: the inverse of dividing by 32768."""
    return np.clip(np.rint(audio * 32768.0), -32768, 32767).astype(np.int16)


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


def _mixed(channels: np.ndarray) -> np.ndarray:
    return channels[:, 0] if channels.shape[1] == 1 else channels.mean(axis=1)


def _full_scale(mono: np.ndarray) -> np.ndarray:
    return np.clip(mono, -1.0, 1.0).astype(np.float32, copy=False)
