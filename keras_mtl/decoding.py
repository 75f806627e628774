"""From frame probabilities to events: median filter, threshold, contiguous runs."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from keras_mtl.timeline import Event, Grid


def median_frames(median_s: float, grid: Grid) -> int:
    """Length of the median filter in embeddings: the odd number nearest to `median_s` seconds, at least 1."""
    return max(1, 2 * round((median_s / grid.step_s - 1) / 2) + 1)


def median_filter(probabilities: np.ndarray, length: int) -> np.ndarray:
    """Median over time with zeros beyond the ends: [frames, events] to the same shape."""
    if length == 1:
        return probabilities
    half = length // 2
    padded = np.pad(probabilities, ((half, half), (0, 0)))
    return np.median(np.lib.stride_tricks.sliding_window_view(padded, length, axis=0), axis=-1)


def decode(
    probabilities: np.ndarray,
    grid: Grid,
    labels: Sequence[str],
    threshold: float = 0.5,
    median_s: float = 0.45,
) -> list[tuple[Event, float]]:
    """Events of one clip with their scores.

    Args:
        probabilities: [embeddings, events].
        grid: the grid of the embeddings.
        labels: the class names.
        threshold: an event is where the filtered probability is above this.
        median_s: length of the median filter in seconds.

    Returns:
        (event, mean filtered probability within it), by onset.
    """
    filtered = median_filter(probabilities, median_frames(median_s, grid))
    edges_s = grid.boundaries_s()
    found: list[tuple[Event, float]] = []
    for column, label in enumerate(labels):
        active = np.concatenate([[False], filtered[:, column] > threshold, [False]])
        changes = np.flatnonzero(active[1:] != active[:-1])
        for first, last in zip(changes[::2], changes[1::2], strict=True):
            score = float(filtered[first:last, column].mean())
            found.append((Event(float(edges_s[first]), float(edges_s[last]), label), score))
    return sorted(found)
