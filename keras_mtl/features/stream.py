"""Log-mel of audio that comes in parts: the frames of the whole recording, with real neighbours at every seam."""

from __future__ import annotations

import functools

import numpy as np

from keras_mtl.core import LogMelSettings
from keras_mtl.features.log_mel import LogMel

_FRAMES_AT_A_TIME = 1024

#: A `LogMel` of these settings, made once: its filters take time to make, and recordings may be many.
shared_log_mel = functools.lru_cache(maxsize=4)(LogMel)


class LogMelStream:
    """Gives the frames that `LogMel` gives for the whole, without ever holding the whole.

    Frames are given as soon as all that their windows reach is there, a thousand at a time.

    Args:
        settings: the features' settings; levels are plain dB.

    Example:
        >>> stream = LogMelStream(LogMelSettings())
        >>> stream.push(np.zeros(16_000, np.float32)).shape, stream.finish(100).shape
        ((0, 128), (100, 128))
    """

    def __init__(self, settings: LogMelSettings) -> None:
        self.settings = settings
        self._log_mel = shared_log_mel(settings)
        self._half = settings.fft // 2
        # Frames at both ends of a segment whose windows may reach beyond it.
        self._margin = -(-self._half // settings.hop)
        self._parts: list[np.ndarray] = []
        self._held = 0  # samples in the parts
        self._dropped = 0  # samples that were there before them
        self._given = 0  # frames

    def push(self, audio: np.ndarray) -> np.ndarray:
        """Takes float32 [samples] in [-1, 1]; gives the levels that are ready, float32 [frames, mel_bands] in dB."""
        self._parts.append(audio)
        self._held += len(audio)
        whole = max(0, (self._dropped + self._held - self._half) // self.settings.hop + 1)
        return self._levels(self._given + (whole - self._given) // _FRAMES_AT_A_TIME * _FRAMES_AT_A_TIME)

    def finish(self, frames: int) -> np.ndarray:
        """The levels that are left up to frame number `frames`, with zeros beyond the end of the audio."""
        beyond = (frames - 1) * self.settings.hop + self._half - self._dropped - self._held
        if beyond > 0:
            self._parts.append(np.zeros(beyond, np.float32))
            self._held += beyond
        return self._levels(frames)

    def _levels(self, until: int) -> np.ndarray:
        """Frames from the first that was not given to this one, in segments of one length as far as possible."""
        out = [np.zeros((0, self.settings.mel_bands), np.float32)]
        while self._given < until:
            out.append(self._segment(min(until, self._given + _FRAMES_AT_A_TIME)))
        return np.concatenate(out)

    def _segment(self, until: int) -> np.ndarray:
        hop = self.settings.hop
        audio = np.concatenate(self._parts)
        before = self._dropped // hop  # the frame centred on the first sample held
        end = (until - 1) * hop + self._half - self._dropped
        # One hop more of zeros, which no window wanted here reaches, so that the last frame is kept at any hop.
        segment = np.concatenate([audio[:end], np.zeros(hop, np.float32)])
        levels = self._log_mel(segment[None])[0, self._given - before : until - before]
        self._given = until
        kept_from = max(before, until - self._margin)
        self._parts = [audio[(kept_from - before) * hop :]]
        self._dropped, self._held = kept_from * hop, len(self._parts[0])
        return levels
