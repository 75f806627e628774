"""Log-mel of samples that come in parts of any size, one frame at a time and with NumPy alone.

Every frame is computed by itself, by the same operations on the same shapes, so it is the same to the bit however the
samples were cut. `features.py` has the definition.
"""

from __future__ import annotations

import numpy as np

from keras_mtl.core import LogMelSettings, frame_window, mel_filters


class LogMelStream:
    """Gives each frame as soon as all that its window reaches is there; zeros stand before the start.

    Args:
        settings: the features' settings.

    Example:
        >>> LogMelStream(LogMelSettings()).push(np.zeros(16_000, np.int16)).shape
        (94, 128)
    """

    def __init__(self, settings: LogMelSettings) -> None:
        self._settings = settings
        self._window, self._filters = frame_window(settings), mel_filters(settings)
        self.reset()

    def reset(self) -> None:
        """Starts anew."""
        # Frame 0 is centred on the first sample.
        self._held = np.zeros(self._settings.fft // 2)
        self._passed_over = 0  # samples to come that lie between two windows

    def push(self, samples: np.ndarray) -> np.ndarray:
        """Takes samples and gives the frames that they complete.

        Args:
            samples: [samples] of one channel at the settings' rate, float in [-1, 1] or int16.

        Returns:
            float32 [frames, mel_bands], normalised log-mel.
        """
        scale = 1 / 32768 if samples.dtype == np.int16 else 1.0
        new = samples[self._passed_over :]
        self._passed_over -= len(samples) - len(new)
        held = np.concatenate([self._held, new.astype(np.float64) * scale])
        size, hop = self._settings.fft, self._settings.hop
        count = max(0, (len(held) - size) // hop + 1)
        self._held = held[count * hop :].copy()
        self._passed_over += max(0, count * hop - len(held))
        frames = [self._frame(held[first : first + size]) for first in range(0, count * hop, hop)]
        return np.array(frames, np.float32).reshape(count, self._settings.mel_bands)

    def _frame(self, samples: np.ndarray) -> np.ndarray:
        power = np.abs(np.fft.rfft(samples * self._window)) ** 2
        decibels = 10.0 * np.log10(np.maximum(power @ self._filters, self._settings.floor))
        return (decibels - self._settings.mean_db) / self._settings.std_db
