"""Polyphonic sound detection score (Bilen et al. 2020) of any weighting of the clips, with exact thresholds.

`sed_scores_eval` (Ebbers et al. 2022) finds, for each clip and class, the scores at which the counts of true positives,
false positives and cross-triggers change as the threshold falls. Those changes add up over clips, so a bootstrap need
not look at the clips again: a draw multiplies each clip's changes by how often the clip was drawn. With each clip once,
`Psds.of` gives what `sed_scores_eval.intersection_based.psds` gives.

Times are in seconds, false positives are counted per hour. A class without a true event in a draw is left out of it.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from keras_mtl.decoding import Event

MAX_FALSE_POSITIVES_PER_HOUR = 100.0
_HOUR_S = 3600.0
_CHECKPOINTS = 64  # places at which a draw may stop reading a class's changes


@dataclass(frozen=True)
class PsdsSettings:
    """One of the two scores.

    Attributes:
        tolerance: both the detection tolerance (dtc) and the ground truth tolerance (gtc).
        cross_trigger_tolerance: cttc.
        cross_trigger_cost: alpha_ct; 0 counts no cross-triggers.
        spread_cost: alpha_st, of the standard deviation between classes.
    """

    tolerance: float
    cross_trigger_tolerance: float = 0.3
    cross_trigger_cost: float = 0.0
    spread_cost: float = 1.0


PSDS1 = PsdsSettings(0.7)
PSDS2 = PsdsSettings(0.1, cross_trigger_cost=0.5)


@dataclass(frozen=True)
class _Changes:
    """The changes of one class's counts, from the highest score down.

    Attributes:
        clips: the clip of each change, int [changes].
        counts: float64 [changes, (true positives, false positives)].
        cross: cross-triggers with each class, float64 [changes, classes].
        ends: whether a change is the last one of its score.
        checkpoints: places in the changes, rising.
        least: false positives that each clip has at least from a checkpoint on, float64 [checkpoints, clips].
    """

    clips: np.ndarray
    counts: np.ndarray
    cross: np.ndarray
    ends: np.ndarray
    checkpoints: np.ndarray
    least: np.ndarray


class Psds:
    """PSDS of weighted clips.

    Args:
        scores: of each clip, [embeddings, classes].
        boundaries_s: where each embedding begins, and where the last one ends with the clip, [embeddings + 1].
        truth: the true events of each clip, of those classes; what overlaps or touches within a class is merged.
        labels: the classes; each must occur.
        settings: `PSDS1` or `PSDS2`.
    """

    def __init__(
        self,
        scores: Sequence[np.ndarray],
        boundaries_s: np.ndarray,
        truth: Sequence[Sequence[Event]],
        labels: Sequence[str],
        settings: PsdsSettings,
    ) -> None:
        import pandas as pd

        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # of dcase_util about pkg_resources
            from sed_scores_eval.intersection_based import intermediate_statistics_deltas

        crossing = bool(settings.cross_trigger_cost) and len(labels) > 1
        names = [f"clip_{i:06d}" for i in range(len(scores))]
        merged = [merge(events) for events in truth]
        times, columns = (boundaries_s[:-1], boundaries_s[1:]), ["onset", "offset", *labels]
        frames = [pd.DataFrame(np.column_stack((*times, of_clip)), columns=columns) for of_clip in scores]
        deltas = intermediate_statistics_deltas(
            dict(zip(names, frames, strict=True)),
            {name: [tuple(event) for event in events] for name, events in zip(names, merged, strict=True)},
            dtc_threshold=settings.tolerance,
            gtc_threshold=settings.tolerance,
            cttc_threshold=settings.cross_trigger_tolerance if crossing else None,
            num_jobs=1,
        )
        self._settings, self._crossing = settings, crossing
        self._durations_s = np.full(len(scores), boundaries_s[-1])
        # [clips, classes]: how many true events, and how many seconds of them.
        self._events, self._seconds = np.zeros((2, len(scores), len(labels)))
        for i, events in enumerate(merged):
            for event in events:
                self._events[i, labels.index(event.label)] += 1
                self._seconds[i, labels.index(event.label)] += event.offset_s - event.onset_s
        self._changes = [_changes([deltas[name][label] for name in names], label, labels) for label in labels]

    def of(self, weights: np.ndarray) -> np.ndarray:
        """The score for each weighting.

        Args:
            weights: how often each clip counts, [weightings, clips].

        Returns:
            float64 [weightings]; NaN where no event counts.
        """
        stops = [change.least @ weights.T for change in self._changes]
        return np.asarray([self._one(row, [stop[:, i] for stop in stops]) for i, row in enumerate(weights)])

    def _one(self, weights: np.ndarray, least: Sequence[np.ndarray]) -> float:
        hours = float(weights @ self._durations_s) / _HOUR_S
        events, seconds = weights @ self._events, weights @ self._seconds
        occurring = np.flatnonzero(events)
        curves = []
        for k in occurring:
            changes = self._changes[k]
            # From a checkpoint on at which too many false positives are certain, nothing can lie on the curve.
            certain = np.flatnonzero(least[k] > MAX_FALSE_POSITIVES_PER_HOUR * hours)
            stop = changes.checkpoints[certain[0]] if len(certain) else len(changes.clips)
            of_clip = weights[changes.clips[:stop]]
            terms = changes.counts[:stop] * of_clip[:, None]
            ends = np.flatnonzero(changes.ends[:stop])
            hits, extra = np.cumsum(terms, axis=0)[ends].T
            rate = extra / hours
            others = occurring[occurring != k]
            if self._crossing and len(others):
                cost = np.zeros(len(events))
                cost[others] = 1.0 / np.maximum(seconds[others], 1e-12) / len(others)
                cross = np.cumsum((changes.cross[:stop] @ cost) * of_clip)[ends]
                rate = rate + self._settings.cross_trigger_cost * cross * _HOUR_S
            curves.append(_staircase(hits / events[k], rate))
        return _area(curves, self._settings.spread_cost) if curves else float("nan")


def merge(events: Sequence[Event]) -> list[Event]:
    """Events of one class that overlap or touch as one event, and without those of no length.

    Frame scores cannot separate such events, and neither tool for PSDS takes them.
    """
    out: dict[str, list[Event]] = {}
    for event in sorted(events):
        of_class = out.setdefault(event.label, [])
        if of_class and event.onset_s <= of_class[-1].offset_s:
            of_class[-1] = of_class[-1]._replace(offset_s=max(event.offset_s, of_class[-1].offset_s))
        elif event.offset_s > event.onset_s:
            of_class.append(event)
    return sorted(event for group in out.values() for event in group)


def _changes(of_clips: Sequence[tuple[np.ndarray, Mapping[str, Any]]], label: str, labels: Sequence[str]) -> _Changes:
    clips = np.repeat(np.arange(len(of_clips)), [len(scores) for scores, _ in of_clips])
    order = np.argsort(-np.concatenate([scores for scores, _ in of_clips]), kind="stable")
    scores = np.concatenate([scores for scores, _ in of_clips])[order]
    clips = clips[order]
    counts = np.concatenate([np.stack([d["tps"], d["fps"]], axis=1) for _, d in of_clips])[order].astype(np.float64)
    cross = np.zeros((len(clips), len(labels)))
    for k, other in enumerate(labels):
        if other != label and f"cts\\{other}" in of_clips[0][1]:
            cross[:, k] = np.concatenate([d[f"cts\\{other}"] for _, d in of_clips])[order]
    checkpoints = np.unique(np.linspace(0, len(clips), _CHECKPOINTS + 1).astype(int))[1:]
    least = np.zeros((len(checkpoints), len(of_clips)))
    for clip in range(len(of_clips)):
        places = np.flatnonzero(clips == clip)
        after = np.concatenate([[0.0], np.cumsum(counts[places, 1])])
        lowest = np.minimum.accumulate(after[::-1])[::-1]
        least[:, clip] = lowest[np.searchsorted(places, checkpoints)]
    return _Changes(clips, counts, cross, np.diff(scores, append=-np.inf) < 0, checkpoints, least)


def _staircase(hit_rate: np.ndarray, false_rate: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The curve of one class from (0, 0) on: false positive rates that rise, and the best hit rate up to each."""
    inside = false_rate <= MAX_FALSE_POSITIVES_PER_HOUR
    x, y = np.append(0.0, false_rate[inside]), np.append(0.0, hit_rate[inside])
    order = np.argsort(x, kind="stable")
    return x[order], np.maximum.accumulate(y[order])


def _area(curves: Sequence[tuple[np.ndarray, np.ndarray]], spread_cost: float) -> float:
    """Area under mean - spread_cost x standard deviation of the classes' curves, as a part of the largest possible."""
    grid = np.unique(np.concatenate([x for x, _ in curves]))
    rates = np.stack([y[np.searchsorted(x, grid, side="right") - 1] for x, y in curves])
    effective = np.maximum(rates.mean(axis=0) - spread_cost * rates.std(axis=0), 0.0)
    widths = np.diff(grid, append=MAX_FALSE_POSITIVES_PER_HOUR)
    return float((effective * widths).sum() / MAX_FALSE_POSITIVES_PER_HOUR)
