"""What an operating point is chosen by: event F1, PSDS, or misses at a bound of false alarms per hour.

An objective scores a setting of one class on weighted clips, the larger the better. A weight is how often a clip
counts: 0 leaves a clip out, and a bootstrap draw repeats some. Nothing but held-out clips and ambient audio is read.
"""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Protocol

import numpy as np

from keras_mtl.decoding import DecodeSettings, Event, decoder_numbers, median_filter
from keras_mtl.metrics import PSDS1, Psds, event_counts, f1_of_counts
from keras_mtl.tuning.tracks import Tracks

#: The thresholds that are tried: coarse, since a finer grid finds more of what is chance.
THRESHOLDS = tuple(round(0.05 * step, 2) for step in range(2, 20))
#: Above those, for a bound on false alarms; a class with the last one is silent.
HIGH_THRESHOLDS = (0.97, 0.98, 0.99, 0.995, 1.0)
_HYSTERESES = (0.0, 0.1, 0.2, 0.3)
_MEDIAN_FACTORS = (0.5, 1.0, 2.0)
_GAPS_S = (0.0, 0.2, 0.5)
_SHORTEST_S = (0.0, 0.1, 0.2, 0.4)
_ROUNDING = 1e-6
_BURST_S = 60.0

#: A key of the settings, and the values to try for it.
Axis = tuple[str, tuple[float, ...]]


class Objective(Protocol):
    """What a setting of one class is judged by.

    Attributes:
        figure: the name of what is scored.
    """

    figure: str

    def axes(self, start: DecodeSettings) -> list[Axis]:
        """The keys to change, one after the other, and the values of each."""

    def settle(self, setting: DecodeSettings, weights: np.ndarray) -> DecodeSettings:
        """The setting with what follows from the clips of these weights [clips], not from a search."""

    def score(self, settings: Sequence[DecodeSettings], weights: Sequence[np.ndarray]) -> np.ndarray:
        """The score of clips in parts, each decoded with a setting of its own.

        Args:
            settings: of each part.
            weights: of each part [weightings, clips].

        Returns:
            float64 [weightings]; NaN where no event counts.
        """


def _of(start: DecodeSettings, key: str, values: Sequence[float]) -> Axis:
    return key, tuple(sorted({float(getattr(start, key)), *map(float, values)}))


def _shape_axes(start: DecodeSettings, longest_s: float) -> list[Axis]:
    """Median filter, pauses and shortest events around where the search starts."""
    median_s = float(start.median_s)
    medians_s = [round(median_s * factor, 3) for factor in _MEDIAN_FACTORS]
    return [
        _of(start, "median_s", [each for each in medians_s if each <= longest_s]),
        _of(start, "gap_s", _GAPS_S),
        _of(start, "shortest_s", _SHORTEST_S),
    ]


class EventF1:
    """Event-based F1 of one class, over all clips together.

    Args:
        tracks: the held-out clips.
        label: the class.
        longest_s: of a median filter, in seconds.
    """

    figure = "event_f1"

    def __init__(self, tracks: Tracks, label: str, longest_s: float) -> None:
        self._tracks, self._label, self._longest_s = tracks, label, longest_s
        self._truth, self._kept = tracks.truth_of(label), dict[Any, np.ndarray]()

    def axes(self, start: DecodeSettings) -> list[Axis]:
        """See `Objective`."""
        threshold, hysteresis = _of(start, "threshold", THRESHOLDS), _of(start, "hysteresis", _HYSTERESES)
        median, *others = _shape_axes(start, self._longest_s)
        return [threshold, median, hysteresis, *others]

    def settle(self, setting: DecodeSettings, weights: np.ndarray) -> DecodeSettings:
        """See `Objective`."""
        return setting

    def score(self, settings: Sequence[DecodeSettings], weights: Sequence[np.ndarray]) -> np.ndarray:
        """See `Objective`."""
        parts = [each @ self._counts(setting) for setting, each in zip(settings, weights, strict=True)]
        return f1_of_counts(np.sum(parts, axis=0)[:, None])[1][:, 0]

    def _counts(self, setting: DecodeSettings) -> np.ndarray:
        """True positives, false positives and misses of each clip [clips, 3]."""
        key = key_of(setting)
        if key not in self._kept:
            decoded = self._tracks.decode(self._label, setting)
            self._kept[key] = event_counts(self._truth, decoded, [self._label])[:, 0]
        return self._kept[key]


class ClassPsds:
    """PSDS1 of one class, which goes over all thresholds: the median filter alone is chosen by it.

    Of clips in parts it is the mean over the parts, since curves of several filters make no one curve.

    Args:
        tracks: the held-out clips.
        label: the class.
        longest_s: of a median filter, in seconds.
    """

    figure = "psds1"

    def __init__(self, tracks: Tracks, label: str, longest_s: float) -> None:
        self._tracks, self._label, self._longest_s = tracks, label, longest_s
        self._truth, self._column = tracks.truth_of(label), list(tracks.labels).index(label)
        self._kept = dict[int, Psds]()

    def axes(self, start: DecodeSettings) -> list[Axis]:
        """See `Objective`."""
        return _shape_axes(start, self._longest_s)[:1]

    def settle(self, setting: DecodeSettings, weights: np.ndarray) -> DecodeSettings:
        """See `Objective`."""
        return setting

    def score(self, settings: Sequence[DecodeSettings], weights: Sequence[np.ndarray]) -> np.ndarray:
        """See `Objective`."""
        rows = np.stack([self._psds(setting).of(each) for setting, each in zip(settings, weights, strict=True)])
        known = ~np.isnan(rows)
        sums = np.where(known, rows, 0.0).sum(axis=0)
        return np.where(known.any(axis=0), sums / np.maximum(known.sum(axis=0), 1), np.nan)

    def _psds(self, setting: DecodeSettings) -> Psds:
        (median,) = decoder_numbers(setting, [self._label], self._tracks.grids[0].step_s)["median"]
        if median not in self._kept:
            columns = [each[:, self._column : self._column + 1] for each in self._tracks.probabilities]
            scores = [median_filter(each, median) for each in columns]
            self._kept[median] = Psds(scores, self._tracks.edges_s[0], self._truth, [self._label], PSDS1)
        return self._kept[median]


class HitsAtBound:
    """Part of the true events that are hit, at the lowest threshold whose false alarms per hour stay in a bound.

    An event is hit where any decoded event of its class overlaps it. Tried are thresholds from the highest down, as
    long as the false alarms on ambient audio and one more burst of them are within the bound: the search stops just
    before the burst that would be too many, so that without this one the rate on other audio would be higher than what
    was counted. A burst is as large as those of one minute of a recording are, on average over alarms. Of those
    thresholds the one with the fewest misses is taken, of equal ones the highest. Where the hours are so few that a
    single false alarm would be beyond the bound, silence proves nothing, and the threshold is never below that of the
    start. Where no threshold below 1 keeps the bound, the class is silent.

    Args:
        tracks: the held-out clips.
        label: the class.
        longest_s: of a median filter, in seconds.
        ambient: recordings without events.
        most_per_hour: the bound.
        least: thresholds below this are not tried.
    """

    figure = "hit_rate"

    def __init__(
        self, tracks: Tracks, label: str, longest_s: float, ambient: Tracks, most_per_hour: float, least: float
    ) -> None:
        self._tracks, self._label, self._longest_s, self._ambient = tracks, label, longest_s, ambient
        self._truth, allowed = tracks.truth_of(label), most_per_hour * ambient.hours + _ROUNDING
        self._events = np.asarray([len(each) for each in self._truth], float)
        self._most, self._least = max(allowed, 1.0), 0.0 if allowed >= 1.0 else least
        self._alarms, self._kept = dict[Any, float](), dict[Any, np.ndarray]()

    def axes(self, start: DecodeSettings) -> list[Axis]:
        """See `Objective`."""
        return [_of(start, "hysteresis", _HYSTERESES), *_shape_axes(start, self._longest_s)]

    def settle(self, setting: DecodeSettings, weights: np.ndarray) -> DecodeSettings:
        """The setting with the threshold; see the class."""
        best, most = None, -1.0
        for threshold in sorted({setting.threshold, *THRESHOLDS, *HIGH_THRESHOLDS}, reverse=True):
            tried = at_threshold(setting, threshold)
            if threshold < self._least or self._alarms_of(tried) > self._most:
                break
            hits = float(weights @ self._hits(tried))
            if best is None or hits > most:
                best, most = tried, hits
        return best or at_threshold(setting, HIGH_THRESHOLDS[-1])

    def score(self, settings: Sequence[DecodeSettings], weights: Sequence[np.ndarray]) -> np.ndarray:
        """See `Objective`."""
        hits = np.sum([each @ self._hits(s) for s, each in zip(settings, weights, strict=True)], axis=0)
        events = np.sum([each @ self._events for each in weights], axis=0)
        return np.where(events > 0, hits / np.maximum(events, 1.0), np.nan)

    def _alarms_of(self, setting: DecodeSettings) -> float:
        """False alarms, and one more burst of them."""
        key = key_of(setting)
        if key not in self._alarms:
            decoded = self._ambient.decode(self._label, setting)
            at = Counter((place, each.onset_s // _BURST_S) for place, events in enumerate(decoded) for each in events)
            total = at.total()
            self._alarms[key] = total + (sum(count**2 for count in at.values()) / total if total else 1.0)
        return self._alarms[key]

    def _hits(self, setting: DecodeSettings) -> np.ndarray:
        """True events of each clip that are hit [clips]."""
        key = key_of(setting)
        if key not in self._kept:
            self._kept[key] = hits_and_alarms(self._truth, self._tracks.decode(self._label, setting))[:, 0]
        return self._kept[key]


def at_threshold(setting: DecodeSettings, threshold: float) -> DecodeSettings:
    """The setting with another threshold; a hysteresis that would reach below 0 is cut."""
    return replace(setting, threshold=threshold, hysteresis=min(setting.hysteresis, threshold))


def hits_and_alarms(truth: Sequence[Sequence[Event]], decoded: Sequence[Sequence[Event]]) -> np.ndarray:
    """Of one class: true events that any decoded one overlaps, and decoded ones that overlap none: [clips, 2]."""
    out = np.zeros((len(truth), 2))
    for place, (true, found) in enumerate(zip(truth, decoded, strict=True)):
        overlap = np.zeros((len(true), len(found)), bool)
        for row, one in enumerate(true):
            overlap[row] = [one.onset_s < each.offset_s and each.onset_s < one.offset_s for each in found]
        out[place] = overlap.any(axis=1).sum(), (~overlap.any(axis=0)).sum()
    return out


@functools.cache
def _keys() -> tuple[str, ...]:
    return ("threshold", "hysteresis", "median_s", "shortest_s", "gap_s")


def key_of(setting: DecodeSettings) -> tuple[Any, ...]:
    """What tells settings of one class apart."""
    return tuple(getattr(setting, name) for name in _keys())
