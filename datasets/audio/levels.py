"""How loud a recording is, and what of it a mix down to mono in [-1, 1] loses. NumPy alone."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

#: Samples from here on count as at full scale: 16 bits and their neighbours.
_FULL_SCALE = 32766 / 32768
#: Samples beyond this are whole numbers in a file for floating point.
_WHOLE_NUMBERS = 100.0
#: Of channels that have nothing in common the mean has 1 / n of their power: less than a fifth of that is lost.
_CANCELLED = 0.2
#: Power below which there is nothing to lose, -80 dB.
_SILENCE = 1e-8


@dataclass(frozen=True)
class Levels:
    """Levels of a recording; those of one whose samples were not read are zeros.

    Attributes:
        peak: the largest sample of all channels, without sign; 1.0 is full scale.
        rms: root mean square of the samples of all channels.
        at_full_scale: part of the samples that are at full scale or beyond.
        beyond: part of the samples of the mean of the channels that lie beyond full scale: they are cut to it.
        cancelled_db: how much softer than its channels the mean of them is, in dB, where they cancel; else 0.
    """

    peak: float = 0.0
    rms: float = 0.0
    at_full_scale: float = 0.0
    beyond: float = 0.0
    cancelled_db: float = 0.0

    @property
    def warnings(self) -> tuple[str, ...]:
        """What is lost by reading it as mono in [-1, 1], in words."""
        found = []
        if self.beyond:
            share = f"{self.beyond:.1%}" if self.beyond >= 0.001 else "less than 0.1%"
            text = (
                f"{share} of its samples lie beyond full scale (peak {decibels(self.peak):+.1f} dBFS) and are cut to it"
            )
            if self.peak > _WHOLE_NUMBERS:
                text += "; they look like 16-bit numbers that were not divided by 32768"
            found.append(text)
        if self.cancelled_db:
            much = "to silence" if math.isinf(self.cancelled_db) else f"by {self.cancelled_db:.0f} dB"
            found.append(f"its channels cancel each other {much} when they are mixed down; keep one of them")
        return tuple(found)


class LevelMeter:
    """Measures a recording that comes in blocks."""

    def __init__(self) -> None:
        self._peak = self._square = 0.0
        self._samples = self._full = self._frames = self._beyond = 0
        self._sums: np.ndarray | None = None
        self._squares: np.ndarray | None = None

    def push(self, channels: np.ndarray, mono: np.ndarray) -> None:
        """Takes the next samples.

        Args:
            channels: float [samples, channels].
            mono: their mean, float [samples].
        """
        sizes = np.abs(channels)
        self._peak = max(self._peak, float(sizes.max(initial=0.0)))
        self._full += int((sizes >= _FULL_SCALE).sum())
        self._samples += channels.size
        self._frames += len(mono)
        self._beyond += int((np.abs(mono) > 1.0).sum())
        if channels.shape[1] == 1:
            self._square += float(np.square(channels, dtype=np.float64).sum())
            return
        each = np.concatenate([channels, mono[:, None]], axis=1).astype(np.float64)
        sums, squares = each.sum(axis=0), np.square(each).sum(axis=0)
        self._square += float(squares[:-1].sum())
        self._sums = sums if self._sums is None else self._sums + sums
        self._squares = squares if self._squares is None else self._squares + squares

    @property
    def samples(self) -> int:
        """Samples of one channel that came so far."""
        return self._frames

    def levels(self) -> Levels:
        """The levels of what came so far."""
        if not self._samples:
            return Levels()
        return Levels(
            self._peak,
            math.sqrt(self._square / self._samples),
            self._full / self._samples,
            self._beyond / self._frames,
            self._cancelled_db(),
        )

    def _cancelled_db(self) -> float:
        if self._sums is None or self._squares is None:
            return 0.0
        powers = self._squares / self._frames - np.square(self._sums / self._frames)  # without constant offsets
        channels, mean = float(powers[:-1].mean()), max(0.0, float(powers[-1]))
        if channels < _SILENCE or mean >= _CANCELLED * channels / (len(powers) - 1):
            return 0.0
        return 10 * math.log10(channels / mean) if mean > 1e-9 * channels else math.inf


def decibels(value: float) -> float:
    """An amplitude in dB of full scale; -inf for silence."""
    return 20 * math.log10(value) if value > 0 else -math.inf
