"""Figures of the event task with their intervals: event-based, segment-based and clip-level F1, PSDS 1 and 2.

Conventions: times in seconds; event-based F1 with 200 ms on the onset and max(200 ms, 20 % of the event) on the offset;
segments of 1 s; averages over the classes that occur; PSDS over those classes with exact thresholds, which reads about
0.01 higher than 50 thresholds do. Intervals are those of `keras_mtl.metrics.bootstrap`, over recordings.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy.optimize import linear_sum_assignment

from keras_mtl.decoding import DecodeSettings, Event, Grid, decode, decoder_numbers, median_filter
from keras_mtl.metrics.bootstrap import Bootstrap, by_recording, mean_of_known
from keras_mtl.metrics.psds import PSDS1, PSDS2, Psds

TOOL = "sed_scores_eval 0.0.4"


def event_metrics(
    strong: np.ndarray,
    weak: np.ndarray,
    truth: Sequence[Sequence[Event]],
    grid: Grid,
    decoding: DecodeSettings,
    labels: Sequence[str],
    recordings: np.ndarray | None = None,
    bootstrap: Bootstrap | None = None,
) -> dict[str, Any]:
    """Scores event predictions.

    Args:
        strong: frame probabilities [clips, embeddings, events].
        weak: clip probabilities [clips, events].
        truth: the true events of each clip.
        grid: the grid of the embeddings.
        decoding: how to decode. PSDS goes over all thresholds, after the median filters and no more; the clip-level F1
            takes the thresholds alone.
        labels: the names of the classes.
        recordings: the recording that each clip was cut from, str [clips]; without it, each clip is one of its own.
        bootstrap: how intervals are made; 1000 draws by default.

    Returns:
        `event_f1_macro`, `event_f1_per_class`, `segment_f1_macro`, `segment_f1_per_class`, `weak_f1_macro`,
        `weak_f1_per_class`, `psds1`, `psds2`, `tool`, `clips`; `intervals`, [low, high] of each figure under its name,
        and `interval_method`. A figure that no class defines is 0, and has no interval.
    """
    bootstrap = bootstrap or Bootstrap()
    decoded = [[event for event, _ in decode(frames, grid, labels, decoding)] for frames in strong]
    counts = {
        "event_f1": event_counts(truth, decoded, labels),
        "segment_f1": segment_counts(truth, decoded, grid.duration_s, labels),
        "weak_f1": weak_counts(truth, weak, [decoding.of(label).threshold for label in labels], labels),
    }
    scores = _psds_of(strong, truth, grid, decoding, labels)
    names, place = np.unique(np.arange(len(truth)) if recordings is None else recordings, return_inverse=True)
    sums = {name: by_recording(of_clips, place) for name, of_clips in counts.items()}

    figures: dict[str, Any] = {}
    intervals: dict[str, Any] = {}
    draws = bootstrap.draws(len(names)) if bootstrap.resamples else None
    for name, of_recordings in sums.items():
        macro, per_class = f1_of_counts(of_recordings.sum(axis=0))
        occurring = [k for k in range(len(labels)) if not np.isnan(per_class[k])]
        figures[f"{name}_macro"] = float(np.nan_to_num(macro))
        figures[f"{name}_per_class"] = {labels[k]: float(per_class[k]) for k in occurring}
        if draws is not None:
            macro, per_class = f1_of_counts(np.tensordot(draws, of_recordings, axes=1))
            intervals[f"{name}_macro"] = bootstrap.interval(macro)
            intervals[f"{name}_per_class"] = {labels[k]: bootstrap.interval(per_class[:, k]) for k in occurring}
    for name in ("psds1", "psds2"):
        score = scores.get(name)
        figures[name] = float(score.of(np.ones((1, len(truth))))[0]) if score else 0.0
        if draws is not None:
            intervals[name] = bootstrap.interval(score.of(draws[:, place])) if score else None
    figures |= {"tool": TOOL, "clips": len(truth)}
    if draws is not None:
        figures |= {"intervals": intervals, "interval_method": bootstrap.method(len(names))}
    return figures


def _psds_of(
    strong: np.ndarray,
    truth: Sequence[Sequence[Event]],
    grid: Grid,
    decoding: DecodeSettings,
    labels: Sequence[str],
) -> dict[str, Psds]:
    """Both scores over the classes that occur; nothing where none does."""
    # A class that never occurs has no recall: the tool refuses it, and here it is left out of all averages.
    present = {event.label for events in truth for event in events if event.offset_s > event.onset_s}
    occurring = [label for label in labels if label in present]
    if not occurring:
        return {}
    columns = [labels.index(label) for label in occurring]
    medians, edges_s = decoder_numbers(decoding, labels, grid.step_s)["median"], grid.boundaries_s()
    lengths = [medians[column] for column in columns]
    scores = [median_filter(frames[:, columns], lengths) for frames in strong]
    return {
        name: Psds(scores, edges_s, truth, occurring, settings)
        for name, settings in (("psds1", PSDS1), ("psds2", PSDS2))
    }


#: Tolerances of the event-based counts: seconds on the onset, at least as many on the offset, and part of the length.
COLLAR_S = 0.2
COLLAR_OF_LENGTH = 0.2
_DECIMALS = 6
#: Length of a segment in seconds.
SEGMENT_S = 1.0


def event_counts(
    truth: Sequence[Sequence[Event]], decoded: Sequence[Sequence[Event]], labels: Sequence[str]
) -> np.ndarray:
    """Counts of events: found if its onset is within 200 ms and its offset within max(200 ms, 20 % of its length).

    Each true event matches one decoded event at most, so that as many as possible are matched. Times are compared to
    the microsecond, as by `sed_scores_eval`, which counts the same.

    Args:
        truth: the true events of each clip; events of one class may overlap.
        decoded: the decoded events of each clip.
        labels: the classes.

    Returns:
        float64 [clips, classes, (true positives, false positives, misses)].
    """
    out = np.zeros((len(truth), len(labels), 3))
    for i, (reference, found) in enumerate(zip(truth, decoded, strict=True)):
        for j, label in enumerate(labels):
            (true_on, true_off), (on, off) = _times(reference, label), _times(found, label)
            collar_s = np.maximum(COLLAR_S, COLLAR_OF_LENGTH * (true_off - true_on))
            close = (
                np.abs(np.subtract.outer(on, true_on)) - COLLAR_S,
                np.abs(np.subtract.outer(off, true_off)) - collar_s,
            )
            matches = (np.round(close, _DECIMALS) <= 0.0).all(axis=0) & (off > on)[:, None]
            hits = matches[linear_sum_assignment(matches, maximize=True)].sum()
            out[i, j] = hits, len(on) - hits, len(true_on) - hits
    return out


def segment_counts(
    truth: Sequence[Sequence[Event]], decoded: Sequence[Sequence[Event]], duration_s: float, labels: Sequence[str]
) -> np.ndarray:
    """Counts of segments of one second; a class is in each segment that one of its events reaches into.

    Args:
        truth: the true events of each clip.
        decoded: the decoded events of each clip.
        duration_s: length of a clip; its last segment may be shorter.
        labels: the classes.

    Returns:
        float64 [clips, classes, (true positives, false positives, misses)].
    """
    segments = math.ceil(duration_s / SEGMENT_S)
    true, found = (np.stack([_active(events, segments, labels) for events in group]) for group in (truth, decoded))
    return _counts(true, found, axis=1)


def weak_counts(
    truth: Sequence[Sequence[Event]], weak: np.ndarray, thresholds: Sequence[float], labels: Sequence[str]
) -> np.ndarray:
    """Counts of clips: is the class in it at all.

    Args:
        truth: the true events of each clip.
        weak: clip probabilities [clips, classes].
        thresholds: of each class: it is in a clip where its probability is above this.
        labels: the classes.

    Returns:
        float64 [clips, classes, (true positives, false positives, misses)].
    """
    there = np.asarray([[label in {event.label for event in events} for label in labels] for events in truth])
    weak = np.asarray(weak)
    return _counts(there[:, None], (weak > np.asarray(thresholds, weak.dtype))[:, None], axis=1)


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


def _active(events: Sequence[Event], segments: int, labels: Sequence[str]) -> np.ndarray:
    """bool [segments, classes]: where a class sounds."""
    out = np.zeros((segments, len(labels)), bool)
    for event in events:
        first, last = math.floor(event.onset_s / SEGMENT_S), math.ceil(event.offset_s / SEGMENT_S)
        out[first:last, labels.index(event.label)] = True
    return out


def _counts(true: np.ndarray, found: np.ndarray, axis: int) -> np.ndarray:
    parts = (true & found, ~true & found, true & ~found)
    return np.stack([part.sum(axis=axis) for part in parts], axis=-1).astype(np.float64)
