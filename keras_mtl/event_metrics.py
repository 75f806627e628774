"""Figures of the event task by `sed_scores_eval`: event-based F1, PSDS 1 and 2, and clip-level F1.

Conventions: times in seconds; event-based F1 with 200 ms on the onset and max(200 ms, 20 % of the event) on the offset,
averaged over the classes that occur; PSDS over those classes with exact thresholds, which reads about 0.01 higher than
50 thresholds do.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np

from keras_mtl.decoding import median_filter, median_frames
from keras_mtl.labels import EVENTS
from keras_mtl.recipes.settings import DecodeSettings
from keras_mtl.timeline import Event, Grid

TOOL = "sed_scores_eval 0.0.4"
_PSDS: dict[str, dict[str, Any]] = {
    "psds1": {"dtc_threshold": 0.7, "gtc_threshold": 0.7, "cttc_threshold": None, "alpha_ct": 0.0, "alpha_st": 1.0},
    "psds2": {"dtc_threshold": 0.1, "gtc_threshold": 0.1, "cttc_threshold": 0.3, "alpha_ct": 0.5, "alpha_st": 1.0},
}


def event_metrics(
    strong: np.ndarray,
    weak: np.ndarray,
    truth: Sequence[Sequence[Event]],
    grid: Grid,
    decoding: DecodeSettings,
) -> dict[str, Any]:
    """Scores event predictions.

    Args:
        strong: frame probabilities [clips, embeddings, events].
        weak: clip probabilities [clips, events].
        truth: the true events of each clip.
        grid: the grid of the embeddings.
        decoding: median filter and threshold.

    Returns:
        `event_f1_macro`, `event_f1_per_class`, `psds1`, `psds2`, `weak_f1_macro`, `tool`, `clips`.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of dcase_util about pkg_resources: nothing a user could act on
        from sed_scores_eval import collar_based, intersection_based
        from sed_scores_eval.base_modules.scores import create_score_dataframe

    names = [f"clip_{i:06d}" for i in range(len(truth))]
    length = median_frames(decoding.median_s, grid)
    edges_s = grid.boundaries_s()
    # A class that never occurs has no recall: the tool refuses it, and here it is left out of all averages.
    present = {event.label for events in truth for event in events}
    occurring = [label for label in EVENTS if label in present]
    columns = [EVENTS.index(label) for label in occurring]
    scores = {
        name: create_score_dataframe(median_filter(frames[:, columns], length), edges_s, occurring)
        for name, frames in zip(names, strong, strict=True)
    }
    ground_truth = {name: [tuple(event) for event in events] for name, events in zip(names, truth, strict=True)}
    durations_s = dict.fromkeys(names, grid.duration_s)
    figures: dict[str, Any] = {"event_f1_macro": 0.0, "event_f1_per_class": {}, **dict.fromkeys(_PSDS, 0.0)}
    if occurring:
        f1, *_ = collar_based.fscore(
            scores,
            ground_truth,
            threshold=decoding.threshold,
            onset_collar=0.2,
            offset_collar=0.2,
            offset_collar_rate=0.2,
            num_jobs=1,
        )
        figures["event_f1_per_class"] = {label: float(f1[label]) for label in occurring}
        figures["event_f1_macro"] = float(np.mean(list(figures["event_f1_per_class"].values())))
        for name, settings in _PSDS.items():
            value, *_ = intersection_based.psds(
                scores, ground_truth, durations_s, unit_of_time="hour", max_efpr=100.0, num_jobs=1, **settings
            )
            figures[name] = float(value)
    figures["weak_f1_macro"] = weak_f1_macro(weak, truth, decoding.threshold)
    return {**figures, "tool": TOOL, "clips": len(truth)}


def weak_f1_macro(weak: np.ndarray, truth: Sequence[Sequence[Event]], threshold: float) -> float:
    """Clip-level F1, 2 TP / (2 TP + FP + FN) a class, averaged over the classes that occur.

    Args:
        weak: clip probabilities [clips, events].
        truth: the true events of each clip.
        threshold: a class is in a clip where its probability is above this.
    """
    there = np.asarray([[label in {event.label for event in events} for label in EVENTS] for events in truth])
    said = np.asarray(weak) > threshold
    hits, errors = (said & there).sum(axis=0), (said ^ there).sum(axis=0)
    occurring = there.any(axis=0)
    f1 = 2 * hits / np.maximum(2 * hits + errors, 1)
    return float(f1[occurring].mean()) if occurring.any() else 0.0
