"""Figures of the event task with their intervals: event-based, segment-based and clip-level F1, PSDS 1 and 2.

Conventions: times in seconds; event-based F1 with 200 ms on the onset and max(200 ms, 20 % of the event) on the offset;
segments of 1 s; averages over the classes that occur; PSDS over those classes with exact thresholds, which reads about
0.01 higher than 50 thresholds do. Intervals are those of `keras_mtl.metrics.bootstrap`, over recordings.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from keras_mtl.core import EVENTS
from keras_mtl.decoding import DecodeSettings, Event, Grid, decode, median_filter, median_steps
from keras_mtl.metrics.bootstrap import Bootstrap, by_recording
from keras_mtl.metrics.counts import event_counts, f1_of_counts, segment_counts, weak_counts
from keras_mtl.metrics.psds import PSDS1, PSDS2, Psds

TOOL = "sed_scores_eval 0.0.4"


def event_metrics(
    strong: np.ndarray,
    weak: np.ndarray,
    truth: Sequence[Sequence[Event]],
    grid: Grid,
    decoding: DecodeSettings,
    recordings: np.ndarray | None = None,
    bootstrap: Bootstrap | None = None,
) -> dict[str, Any]:
    """Scores event predictions.

    Args:
        strong: frame probabilities [clips, embeddings, events].
        weak: clip probabilities [clips, events].
        truth: the true events of each clip.
        grid: the grid of the embeddings.
        decoding: median filter, threshold and hysteresis. PSDS goes over all thresholds without hysteresis.
        recordings: the recording that each clip was cut from, str [clips]; without it, each clip is one of its own.
        bootstrap: how intervals are made; 1000 draws by default.

    Returns:
        `event_f1_macro`, `event_f1_per_class`, `segment_f1_macro`, `segment_f1_per_class`, `weak_f1_macro`,
        `weak_f1_per_class`, `psds1`, `psds2`, `tool`, `clips`; `intervals`, [low, high] of each figure under its name,
        and `interval_method`. A figure that no class defines is 0, and has no interval.
    """
    bootstrap = bootstrap or Bootstrap()
    said = [[event for event, _ in decode(frames, grid, EVENTS, decoding)] for frames in strong]
    counts = {
        "event_f1": event_counts(truth, said),
        "segment_f1": segment_counts(truth, said, grid.duration_s),
        "weak_f1": weak_counts(truth, weak, decoding.threshold),
    }
    scores = _psds_of(strong, truth, grid, decoding)
    names, place = np.unique(np.arange(len(truth)) if recordings is None else recordings, return_inverse=True)
    sums = {name: by_recording(of_clips, place) for name, of_clips in counts.items()}

    figures: dict[str, Any] = {}
    intervals: dict[str, Any] = {}
    draws = bootstrap.draws(len(names)) if bootstrap.resamples else None
    for name, of_recordings in sums.items():
        macro, per_class = f1_of_counts(of_recordings.sum(axis=0))
        occurring = [k for k in range(len(EVENTS)) if not np.isnan(per_class[k])]
        figures[f"{name}_macro"] = float(np.nan_to_num(macro))
        figures[f"{name}_per_class"] = {EVENTS[k]: float(per_class[k]) for k in occurring}
        if draws is not None:
            macro, per_class = f1_of_counts(np.tensordot(draws, of_recordings, axes=1))
            intervals[f"{name}_macro"] = bootstrap.interval(macro)
            intervals[f"{name}_per_class"] = {EVENTS[k]: bootstrap.interval(per_class[:, k]) for k in occurring}
    for name in ("psds1", "psds2"):
        score = scores.get(name)
        figures[name] = float(score.of(np.ones((1, len(truth))))[0]) if score else 0.0
        if draws is not None:
            intervals[name] = bootstrap.interval(score.of(draws[:, place])) if score else None
    figures |= {"tool": TOOL, "clips": len(truth)}
    if draws is not None:
        figures |= {"intervals": intervals, "interval_method": bootstrap.method(len(names))}
    return figures


def weak_f1_macro(weak: np.ndarray, truth: Sequence[Sequence[Event]], threshold: float) -> float:
    """Clip-level F1, 2 TP / (2 TP + FP + FN) a class, averaged over the classes that occur.

    Args:
        weak: clip probabilities [clips, events].
        truth: the true events of each clip.
        threshold: a class is in a clip where its probability is above this.
    """
    macro, _ = f1_of_counts(weak_counts(truth, weak, threshold).sum(axis=0))
    return float(np.nan_to_num(macro))


def _psds_of(
    strong: np.ndarray, truth: Sequence[Sequence[Event]], grid: Grid, decoding: DecodeSettings
) -> dict[str, Psds]:
    """Both scores over the classes that occur; nothing where none does."""
    # A class that never occurs has no recall: the tool refuses it, and here it is left out of all averages.
    present = {event.label for events in truth for event in events if event.offset_s > event.onset_s}
    occurring = [label for label in EVENTS if label in present]
    if not occurring:
        return {}
    columns = [EVENTS.index(label) for label in occurring]
    length, edges_s = median_steps(decoding.median_s, grid.step_s), grid.boundaries_s()
    scores = [median_filter(frames[:, columns], length) for frames in strong]
    return {
        name: Psds(scores, edges_s, truth, occurring, settings)
        for name, settings in (("psds1", PSDS1), ("psds2", PSDS2))
    }
