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


class Decoder:
    """Decodes probabilities that come in parts, as if they had come at once.

    Args:
        labels: the class names.
        threshold: an event is where the filtered probability is above this.
        median: length of the median filter in embeddings, an odd number.
    """

    def __init__(self, labels: Sequence[str], threshold: float, median: int) -> None:
        self._labels, self._threshold, self._half = labels, threshold, median // 2
        self._tail = np.zeros((self._half, len(labels)), np.float32)  # what the filter's next window begins with
        self._filtered = 0
        self._open: dict[int, tuple[int, float]] = {}  # of a class that sounds: since when, and the scores' sum
        self._runs: list[tuple[int, int, int, float]] = []  # (class, first, last + 1, sum)

    def push(self, probabilities: np.ndarray) -> None:
        """Takes the next ones, [embeddings, events]."""
        values = np.concatenate([self._tail.astype(probabilities.dtype), probabilities])
        ready = len(values) - 2 * self._half
        if ready <= 0:
            self._tail = values
            return
        self._tail = values[ready:].copy()
        if self._half:
            windows = np.lib.stride_tricks.sliding_window_view(values, 2 * self._half + 1, axis=0)
            values = np.median(windows, axis=-1)
        self._find(values)
        self._filtered += ready

    def finish(self, grid: Grid) -> list[tuple[Event, float]]:
        """Events with their scores, by onset. `grid` is that of all embeddings that came."""
        if self._half:
            self.push(np.zeros((self._half, len(self._labels)), self._tail.dtype))
        for column, (first, total) in self._open.items():
            self._runs.append((column, first, self._filtered, total))
        self._open = {}
        edges_s = grid.boundaries_s()
        return sorted(
            (Event(float(edges_s[first]), float(edges_s[end]), self._labels[column]), total / (end - first))
            for column, first, end, total in self._runs
        )

    def _find(self, filtered: np.ndarray) -> None:
        """Continues, closes and opens runs by the next filtered probabilities [embeddings, events]."""
        active = np.pad(filtered > self._threshold, ((1, 1), (0, 0)))
        for column in range(len(self._labels)):
            if column in self._open and not active[1, column]:
                first, total = self._open.pop(column)
                self._runs.append((column, first, self._filtered, total))
            changes = np.flatnonzero(active[1:, column] != active[:-1, column])
            for begin, end in zip(changes[::2], changes[1::2], strict=True):
                # What is open still is the first run's beginning.
                first, total = self._open.pop(column, (self._filtered + int(begin), 0.0))
                total += float(filtered[begin:end, column].sum(dtype=np.float64))
                if end == len(filtered):
                    self._open[column] = (first, total)
                else:
                    self._runs.append((column, first, self._filtered + int(end), total))


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
    decoder = Decoder(labels, threshold, median_frames(median_s, grid))
    decoder.push(probabilities)
    return decoder.finish(grid)
