"""Reading recordings: any file that libsndfile knows or ffmpeg decodes, whole or block by block in constant memory."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import soundfile
import soxr

from keras_mtl.core import DataError
from keras_mtl.datasets.audio import ffmpeg
from keras_mtl.datasets.audio.endings import require_whole
from keras_mtl.datasets.audio.levels import LevelMeter, Levels
from keras_mtl.datasets.audio.mp3 import missing_length
from keras_mtl.datasets.audio.pipes import WaveStream
from keras_mtl.datasets.audio.riff import WaveLayout, canonical
from keras_mtl.datasets.audio.view import View

#: Sample rate of clips and features by default, in Hz.
SAMPLE_RATE_HZ = 16_000

_BLOCK = 1 << 16  # samples of one channel

#: Bytes of a sample in the encodings whose header is enough: no sample of them can be wrong.
_PLAIN_BYTES = {"PCM_U8": 1, "PCM_S8": 1, "PCM_16": 2, "PCM_24": 3, "PCM_32": 4}


@dataclass(frozen=True)
class AudioFormat:
    """The format of a recording.

    Attributes:
        rate_hz: samples per second.
        channels: their number.
        samples: of one channel.
        container, subtype: libsndfile's names, such as "WAV" and "PCM_24"; empty where they are not known. Of what
            ffmpeg decodes, the file name's ending, and "ffmpeg".
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
        path: a file of any format that libsndfile reads, or that ffmpeg decodes where it is installed (m4a and others,
            by the ending), of any rate and number of channels.
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

    A WAV file whose header knows no length is read to its end.

    Raises:
        DataError: the file is missing, empty, cut short, not audio, or holds values that are not finite; what only the
            end shows is raised at the end.
    """
    path, layout = _require_recording(path)
    read, announced = 0, 0
    with _opened(path, layout) as source:
        if isinstance(source, soundfile.SoundFile):
            announced, blocks = source.frames, _blocks(path, source)
        else:
            blocks = source.blocks(_BLOCK)
        for block in blocks:
            if not np.isfinite(block).all():
                raise DataError(f"{path} holds samples that are not finite numbers")
            read += len(block)
            yield block
    if read < announced:
        raise DataError(f"{path} is cut short: {read} of {announced} samples", hint="get the file again")
    if not read:
        raise DataError(f"{path} holds no samples")


def _blocks(path: Path, file: soundfile.SoundFile) -> Iterator[np.ndarray]:
    try:
        while len(block := file.read(_BLOCK, dtype="float32", always_2d=True)):
            yield block
    except (soundfile.LibsndfileError, RuntimeError) as error:
        raise _unreadable(path, error) from error


def _repaired(path: Path, layout: WaveLayout | None) -> View | None:
    """A file with a header that libsndfile reads rightly; None of one that has it already."""
    if layout is not None:
        return None if layout.plain else View(path, *canonical(layout))
    lacking = missing_length(path)
    return None if lacking is None else View(path, *lacking, path.stat().st_size - lacking[1])


@contextlib.contextmanager
def _opened(path: Path, layout: WaveLayout | None) -> Iterator[soundfile.SoundFile | WaveStream]:
    """A recording, opened by whatever reads it."""
    with contextlib.ExitStack() as opened:
        if ffmpeg.is_for_ffmpeg(path):
            yield opened.enter_context(ffmpeg.decoded(path))
            return
        try:
            file: Path | View = path
            if (repaired := _repaired(path, layout)) is not None:
                file = opened.enter_context(contextlib.closing(repaired))
            source = opened.enter_context(soundfile.SoundFile(file))
        except (soundfile.LibsndfileError, RuntimeError) as error:
            raise _unreadable(path, error) from error
        yield source


def mono_blocks(
    path: str | Path, sample_rate_hz: int = SAMPLE_RATE_HZ, meter: LevelMeter | None = None
) -> Iterator[np.ndarray]:
    """Gives a recording mixed down to mono and resampled, in blocks: float32 [samples] in [-1, 1].

    One after the other they are `read_audio`, to the bit: soxr's stream gives what it gives at once.

    Args:
        path: as of `read_audio`.
        sample_rate_hz: as of `read_audio`.
        meter: what measures the recording as it is read.

    Raises:
        DataError: as of `channel_blocks`.
    """
    yield from resampled_blocks(channel_blocks(path), audio_format(path).rate_hz, sample_rate_hz, meter)


def resampled_blocks(
    blocks: Iterator[np.ndarray], rate_hz: int, sample_rate_hz: int, meter: LevelMeter | None = None
) -> Iterator[np.ndarray]:
    """Blocks [samples, channels] at one rate, mixed down to mono and resampled: float32 [samples] in [-1, 1]."""
    resampler = None
    if rate_hz != sample_rate_hz:
        resampler = soxr.ResampleStream(rate_hz, sample_rate_hz, 1, dtype="float32", quality="HQ")
    for channels in blocks:
        mono = _mixed(channels)
        if meter is not None:
            meter.push(channels, mono)
        yield _full_scale(mono if resampler is None else resampler.resample_chunk(np.ascontiguousarray(mono)))
    if resampler is not None:
        yield _full_scale(resampler.resample_chunk(np.zeros(0, np.float32), last=True))


def audio_format(path: str | Path) -> AudioFormat:
    """Reads the header of a recording; one that ffmpeg decodes is read to its end once.

    Raises:
        DataError: the file is missing, empty, cut short (as far as its container shows), or not audio.
    """
    path, layout = _require_recording(path)
    with _opened(path, layout) as file:
        if isinstance(file, soundfile.SoundFile):
            return AudioFormat(file.samplerate, file.channels, file.frames, file.format, file.subtype)
        rate_hz, channels = file.layout.rate_hz, file.layout.channels
    return AudioFormat(rate_hz, channels, ffmpeg.frames_of(path), path.suffix[1:].upper(), "ffmpeg")


@dataclass(frozen=True)
class Inspected:
    """A recording that can be read: its format, and its levels, as far as its samples were read."""

    format: AudioFormat
    levels: Levels = field(default_factory=Levels)


def inspect(path: str | Path, every_sample: bool = False) -> Inspected:
    """What `channel_blocks` would read; refuses what it would refuse.

    The header of a WAV file of one channel with whole-number samples is enough for that, and no sample is decoded.
    Samples of all other kinds are: numbers with a point may be NaN or beyond full scale, compressed ones may be
    damaged, and channels may cancel each other.

    Args:
        path: the recording.
        every_sample: whether to read the samples of all kinds.

    Raises:
        DataError: as of `channel_blocks`.
    """
    found = audio_format(path)
    sample_bytes = _PLAIN_BYTES.get(found.subtype, 0) if found.container in ("WAV", "WAVEX") else 0
    enough = sample_bytes and found.channels == 1 and not every_sample
    if enough and 0 < found.samples * sample_bytes <= Path(path).stat().st_size:
        return Inspected(found)
    meter = LevelMeter()
    for channels in channel_blocks(path):
        meter.push(channels, _mixed(channels))
    return Inspected(replace(found, samples=meter.samples), meter.levels())


def measured(channels: np.ndarray) -> Levels:
    """The levels of a recording [samples, channels] that was read."""
    meter = LevelMeter()
    meter.push(channels, _mixed(channels))
    return meter.levels()


def _require_recording(path: str | Path) -> tuple[Path, WaveLayout | None]:
    """The path, when a file lies there that is not empty and, as far as its container shows, whole; a WAV's layout.

    Raises:
        DataError: otherwise.
    """
    path = Path(path)
    if not path.is_file():
        raise DataError(f"no recording at {path}")
    try:
        if path.stat().st_size == 0:
            raise DataError(f"{path} is empty (0 bytes)", hint="get the file again")
        return path, require_whole(path)
    except OSError as error:
        raise DataError(f"{path} can't be read: {error.strerror}", hint="is it yours to read?") from error


def _unreadable(path: Path, error: Exception) -> DataError:
    """What libsndfile's refusal of a file means for the user, as an error to raise."""
    reason = " ".join(str(getattr(error, "error_string", error)).removeprefix("Error : ").split())
    return DataError(f"{path} can't be read as audio: {reason}", hint=ffmpeg.way_out(path))


def to_int16(audio: np.ndarray) -> np.ndarray:
    """Samples in [-1, 1] as int16, full scale 32768: the inverse of dividing by 32768."""
    return np.clip(np.rint(audio * 32768.0), -32768, 32767).astype(np.int16)


def _mixed(channels: np.ndarray) -> np.ndarray:
    return channels[:, 0] if channels.shape[1] == 1 else channels.mean(axis=1)


def _full_scale(mono: np.ndarray) -> np.ndarray:
    return np.clip(mono, -1.0, 1.0).astype(np.float32, copy=False)
