"""Log-mel features in batches, fast on one core and without TensorFlow (`log_mel_settings.py` has the definition)."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import Protocol

import numpy as np
import scipy.fft

from keras_mtl.core import LogMelSettings, frame_window, mel_filters

#: Frames whose spectra lie in memory at a time: more would leave the cache of a core, fewer cost more calls.
_FRAMES_AT_A_TIME = 200
#: Frames that a stream gives at a time.
_STREAM_FRAMES = 1024
#: Multiplications of one matrix product at most: larger ones BLAS gives to threads, which wait more than they help.
_LARGEST_PRODUCT = 250_000


class FrontEnd(Protocol):
    """What computes log-mel of whole batches: of its settings made, and called as `LogMel` is."""

    def __call__(self, audio: np.ndarray) -> np.ndarray:
        """Clips [clips, samples] to dB, float32 [clips, frames, mel_bands]."""


class LogMel:
    """Computes log-mel of whole batches.

    Frames are transformed in float32. The mel filters are no one large matrix, which is 1 % full, but several small
    ones, each over the bins that its filters reach: the product takes a fifth of the time.

    Args:
        settings: the features' settings. `mean_db` and `std_db` are not applied here: log-mel is plain dB.

    Example:
        >>> LogMel(LogMelSettings())(np.zeros((2, 16_000), np.float32)).shape
        (2, 100, 128)
    """

    def __init__(self, settings: LogMelSettings) -> None:
        self.settings = settings
        self._window = frame_window(settings).astype(np.float32)
        self._filters = list(_banded(mel_filters(settings).astype(np.float32)))

    def __call__(self, audio: np.ndarray) -> np.ndarray:
        """Log-mel of clips of one length.

        Args:
            audio: float [clips, samples] in [-1, 1], or int16, at the settings' rate.

        Returns:
            float32 [clips, settings.frames(samples), mel_bands] in dB.
        """
        audio, settings = np.asarray(audio), self.settings
        clips, samples = audio.shape
        half, frames = settings.fft // 2, settings.frames(samples)
        log_mel = np.empty((clips, frames, settings.mel_bands), np.float32)
        at_a_time = max(1, _FRAMES_AT_A_TIME // max(frames, 1))
        padded = np.zeros((min(at_a_time, clips), samples + 2 * half), np.float32)
        framed = np.lib.stride_tricks.sliding_window_view(padded, settings.fft, axis=1)[:, :: settings.hop][:, :frames]
        for clip in range(0, clips, at_a_time):
            some = audio[clip : clip + at_a_time]
            inside = padded[: len(some), half : half + samples]
            inside[:] = some
            if audio.dtype == np.int16:
                inside /= 32768.0
            for first in range(0, frames, _FRAMES_AT_A_TIME):
                part = slice(first, first + _FRAMES_AT_A_TIME)
                self._compute(framed[: len(some), part], log_mel[clip : clip + at_a_time, part])
        return log_mel

    def _compute(self, frames: np.ndarray, log_mel: np.ndarray) -> None:
        """Samples [clips, frames, fft] to dB [clips, frames, mel_bands]."""
        windowed = (frames * self._window).reshape(-1, frames.shape[-1])
        squares = scipy.fft.rfft(windowed, overwrite_x=True, workers=1).view(np.float32)
        np.square(squares, out=squares)
        mel = np.empty((len(squares), self.settings.mel_bands), np.float32)
        for values, bands, weights in self._filters:
            np.matmul(squares[:, values], weights, out=mel[:, bands])
        np.maximum(mel, np.float32(self.settings.floor), out=mel)
        np.log10(mel, out=mel)
        mel *= 10.0
        log_mel[:] = mel.reshape(log_mel.shape)


#: A `LogMel` of these settings, made once: its filters take time to make, and recordings may be many.
shared_log_mel = functools.lru_cache(maxsize=4)(LogMel)


class LogMelStream:
    """Log-mel of audio that comes in parts: the frames of the whole recording, with real neighbours at every seam.

    Frames are given as soon as all that their windows reach is there, a thousand at a time.

    Args:
        settings: the features' settings; log-mel is plain dB.

    Example:
        >>> stream = LogMelStream(LogMelSettings())
        >>> stream.push(np.zeros(16_000, np.float32)).shape, stream.finish(100).shape
        ((0, 128), (100, 128))
    """

    def __init__(self, settings: LogMelSettings) -> None:
        self.settings = settings
        self._compute = shared_log_mel(settings)
        self._half = settings.fft // 2
        # Frames at both ends of a segment whose windows may reach beyond it.
        self._margin = -(-self._half // settings.hop)
        self._parts: list[np.ndarray] = []
        self._held = 0  # samples in the parts
        self._dropped = 0  # samples that were there before them
        self._given = 0  # frames

    def push(self, audio: np.ndarray) -> np.ndarray:
        """Takes float32 [samples] in [-1, 1]; gives what is ready, float32 [frames, mel_bands] in dB."""
        self._parts.append(audio)
        self._held += len(audio)
        whole = max(0, (self._dropped + self._held - self._half) // self.settings.hop + 1)
        return self._segments(self._given + (whole - self._given) // _STREAM_FRAMES * _STREAM_FRAMES)

    def finish(self, frames: int) -> np.ndarray:
        """The frames that are left up to frame number `frames`, with zeros beyond the end of the audio."""
        beyond = (frames - 1) * self.settings.hop + self._half - self._dropped - self._held
        if beyond > 0:
            self._parts.append(np.zeros(beyond, np.float32))
            self._held += beyond
        return self._segments(frames)

    def _segments(self, until: int) -> np.ndarray:
        """Frames from the first that was not given to this one, in segments of one length as far as possible."""
        out = [np.zeros((0, self.settings.mel_bands), np.float32)]
        while self._given < until:
            out.append(self._segment(min(until, self._given + _STREAM_FRAMES)))
        return np.concatenate(out)

    def _segment(self, until: int) -> np.ndarray:
        hop = self.settings.hop
        audio = np.concatenate(self._parts)
        before = self._dropped // hop  # the frame centred on the first sample held
        end = (until - 1) * hop + self._half - self._dropped
        # One hop more of zeros, which no window wanted here reaches, so that the last frame is kept at any hop.
        segment = np.concatenate([audio[:end], np.zeros(hop, np.float32)])
        log_mel = self._compute(segment[None])[0, self._given - before : until - before]
        self._given = until
        kept_from = max(before, until - self._margin)
        self._parts = [audio[(kept_from - before) * hop :]]
        self._dropped, self._held = kept_from * hop, len(self._parts[0])
        return log_mel


def normalise(log_mel_db: np.ndarray, settings: LogMelSettings, out: np.ndarray | None = None) -> np.ndarray:
    """(log_mel - mean_db) / std_db as float32, any shape; into `out`, float32 of that shape, where it is given."""
    out = np.empty(np.shape(log_mel_db), np.float32) if out is None else out
    out[...] = log_mel_db
    out -= settings.mean_db
    out /= settings.std_db
    return out


def _banded(filters: np.ndarray) -> Iterator[tuple[slice, slice, np.ndarray]]:
    """The filters [bins, bands] in parts: which values, which bands, and the weights between these.

    Values are the squared real and imaginary parts of the bins in turn: their sum, the power, is left to the product.
    """
    bands = filters.shape[1]
    ends = [np.flatnonzero(band)[[0, -1]] + (0, 1) if band.any() else np.asarray((0, 0)) for band in filters.T]
    first = 0
    while first < bands:
        last, low, high = first, filters.shape[0], 0
        while last < bands:
            wider = min(low, int(ends[last][0])), max(high, int(ends[last][1]))
            if last > first and _FRAMES_AT_A_TIME * 2 * (wider[1] - wider[0]) * (last + 1 - first) > _LARGEST_PRODUCT:
                break
            (low, high), last = wider, last + 1
        # A filter narrower than a bin may reach none: its power is 0, as librosa's is.
        low, high = (low, high) if high > low else (0, 1)
        weights = np.repeat(filters[low:high, first:last], 2, axis=0)
        yield slice(2 * low, 2 * high), slice(first, last), np.ascontiguousarray(weights)
        first = last
