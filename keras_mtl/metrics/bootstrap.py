"""Intervals of figures by the bootstrap over recordings (Efron and Tibshirani 1993, percentile method).

Clips that are cut from one recording are not independent of each other: drawing clips would make the intervals too
narrow. So recordings are drawn, with replacement, and a clip counts as often as its recording was drawn. Every figure
is then computed from sums over recordings (hits, counts, true positives ...), for all draws at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Bootstrap:
    """How intervals are made.

    Attributes:
        resamples: number of draws; 0 makes no intervals.
        level: part of the draws that an interval holds.
        seed: of the draws.

    Example:
        >>> draws = Bootstrap(resamples=1000).draws(recordings=50)
        >>> Bootstrap().interval(draws @ hits / (draws @ clips))  # of an accuracy; both [50]
    """

    resamples: int = 1000
    level: float = 0.95
    seed: int = 0

    def draws(self, recordings: int) -> np.ndarray:
        """How often each recording is drawn: float64 [resamples, recordings], each row's sum is `recordings`.

        The same seed and number of recordings give the same draws.
        """
        random = np.random.default_rng((self.seed, 17))
        return random.multinomial(recordings, np.full(recordings, 1.0 / recordings), self.resamples).astype(np.float64)

    def interval(self, values: np.ndarray) -> list[float] | None:
        """[low, high] of a figure's values over the draws.

        Args:
            values: [resamples]; NaN where a draw left the figure undefined (a class that was not drawn): left out.

        Returns:
            The percentiles (1 - level) / 2 and (1 + level) / 2, or None where no draw gave a value.
        """
        values = np.asarray(values, np.float64)
        values = values[~np.isnan(values)]
        if not len(values):
            return None
        tail = 50.0 * (1.0 - self.level)
        low, high = np.percentile(values, [tail, 100.0 - tail])
        return [float(low), float(high)]

    def method(self, recordings: int) -> dict[str, Any]:
        """How the intervals were made, for the document beside the figures."""
        return {
            "name": "percentile bootstrap",
            "level": self.level,
            "resamples": self.resamples,
            "seed": self.seed,
            "unit": "recording",
            "recordings": recordings,
        }


def ratio(numerator: np.ndarray, denominator: np.ndarray) -> np.ndarray:
    """numerator / denominator, NaN where the denominator is 0."""
    numerator, denominator = np.broadcast_arrays(np.asarray(numerator, np.float64), np.asarray(denominator, np.float64))
    return np.divide(numerator, denominator, out=np.full(numerator.shape, np.nan), where=denominator != 0)


def mean_of_known(values: np.ndarray) -> np.ndarray:
    """Mean over the last axis of what is not NaN; NaN where nothing is known."""
    known = ~np.isnan(values)
    return ratio(np.where(known, values, 0.0).sum(axis=-1), known.sum(axis=-1))


def by_recording(values: np.ndarray, recordings: np.ndarray) -> np.ndarray:
    """Sums [clips, ...] over the clips of each recording: float64 [recordings, ...].

    Args:
        values: a number, or several, for each clip.
        recordings: the place of each clip's recording, int [clips], as `numpy.unique(..., return_inverse=True)` has it.
    """
    sums = np.zeros((int(recordings.max()) + 1, *values.shape[1:]))
    np.add.at(sums, recordings, values)
    return sums
