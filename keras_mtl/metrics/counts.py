"""True positives, false positives and misses of each clip and class: what the F1 figures are made of.

Three ways to count: events (matched by their times), segments of one second, and whole clips. Counts add up over clips,
so a figure over any choice of clips is F1 = 2 TP / (2 TP + FP + FN) of the sums.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from scipy.optimize import linear_sum_assignment

from keras_mtl.core import EVENTS
from keras_mtl.decoding import Event
from keras_mtl.metrics.bootstrap import mean_of_known

#: Tolerances of the event-based counts: seconds on the onset, at least as many on the offset, and part of the length.
COLLAR_S = 0.2
COLLAR_OF_LENGTH = 0.2
_DECIMALS = 6
#: Length of a segment in seconds.
SEGMENT_S = 1.0


def event_counts(truth: Sequence[Sequence[Event]], said: Sequence[Sequence[Event]]) -> np.ndarray:
    """Counts of events: found if its onset is within 200 ms and its offset within max(200 ms, 20 % of its length).

    Each true event matches one decoded event at most, so that as many as possible are matched. Times are compared to
    the microsecond, as by `sed_scores_eval`, which counts the same.

    Args:
        truth: the true events of each clip; events of one class may overlap.
        said: the decoded events of each clip.

    Returns:
        float64 [clips, classes, (true positives, false positives, misses)].
    """
    out = np.zeros((len(truth), len(EVENTS), 3))
    for i, (reference, decoded) in enumerate(zip(truth, said, strict=True)):
        for j, label in enumerate(EVENTS):
            (true_on, true_off), (on, off) = _times(reference, label), _times(decoded, label)
            collar_s = np.maximum(COLLAR_S, COLLAR_OF_LENGTH * (true_off - true_on))
            close = (
                np.abs(np.subtract.outer(on, true_on)) - COLLAR_S,
                np.abs(np.subtract.outer(off, true_off)) - collar_s,
            )
            matches = (np.round(close, _DECIMALS) <= 0.0).all(axis=0) & (off > on)[:, None]
            hits = matches[linear_sum_assignment(matches, maximize=True)].sum()
            out[i, j] = hits, len(on) - hits, len(true_on) - hits
    return out


def segment_counts(truth: Sequence[Sequence[Event]], said: Sequence[Sequence[Event]], duration_s: float) -> np.ndarray:
    """Counts of segments of one second; a class is in each segment that one of its events reaches into.

    Args:
        truth: the true events of each clip.
        said: the decoded events of each clip.
        duration_s: length of a clip; its last segment may be shorter.

    Returns:
        float64 [clips, classes, (true positives, false positives, misses)].
    """
    segments = math.ceil(duration_s / SEGMENT_S)
    true, decoded = (np.stack([_active(events, segments) for events in group]) for group in (truth, said))
    return _counts(true, decoded, axis=1)


def weak_counts(truth: Sequence[Sequence[Event]], weak: np.ndarray, threshold: float) -> np.ndarray:
    """Counts of clips: is the class in it at all.

    Args:
        truth: the true events of each clip.
        weak: clip probabilities [clips, classes].
        threshold: a class is in a clip where its probability is above this.

    Returns:
        float64 [clips, classes, (true positives, false positives, misses)].
    """
    there = np.asarray([[label in {event.label for event in events} for label in EVENTS] for events in truth])
    return _counts(there[:, None], (np.asarray(weak) > threshold)[:, None], axis=1)


def f1_of_counts(counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """F1 = 2 TP / (2 TP + FP + FN) of counts [..., classes, 3].

    Returns:
        (macro [...], per class [..., classes]): NaN for a class that does not occur; the mean is over those that do.
    """
    hits, extra, missed = np.moveaxis(counts, -1, 0)
    denominator = np.maximum(2 * hits + extra + missed, 1)
    per_class = np.where(hits + missed > 0, 2 * hits / denominator, np.nan)
    return mean_of_known(per_class), per_class


def _times(events: Sequence[Event], label: str) -> tuple[np.ndarray, np.ndarray]:
    chosen = [event for event in events if event.label == label]
    return np.asarray([e.onset_s for e in chosen], float), np.asarray([e.offset_s for e in chosen], float)


def _active(events: Sequence[Event], segments: int) -> np.ndarray:
    """bool [segments, classes]: where a class sounds."""
    out = np.zeros((segments, len(EVENTS)), bool)
    for event in events:
        first, last = math.floor(event.onset_s / SEGMENT_S), math.ceil(event.offset_s / SEGMENT_S)
        out[first:last, EVENTS.index(event.label)] = True
    return out


def _counts(true: np.ndarray, said: np.ndarray, axis: int) -> np.ndarray:
    parts = (true & said, ~true & said, true & ~said)
    return np.stack([part.sum(axis=axis) for part in parts], axis=-1).astype(np.float64)
