"""From frame scores to events: median filter, threshold with hysteresis, contiguous runs.

One decoder serves whole clips and streams: it takes scores in parts of any size and gives the same events, each change
as soon as it is known. The filter sees as many steps ahead as back, so a step is decided median // 2 steps later; steps
are counted without this delay. Scores may be probabilities or the integers of a quantized network; the C event decoder
of a firmware bundle does the same to the latter, to the integer.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from keras_mtl.decoding.settings import DecodeSettings
from keras_mtl.decoding.timeline import Event, Grid


class Change(NamedTuple):
    """An event of one class began, or ended.

    Attributes:
        onset: the event's first step.
        offset: the step after its last one; 0 while it lasts.
        label: number of the class.
        score_sum: filtered scores summed over its steps; 0 while it lasts. Its mean score is
            score_sum / (offset - onset).
        ended: whether it ended.
    """

    onset: int
    offset: int
    label: int
    score_sum: float
    ended: bool


def median_steps(median_s: float, step_s: float) -> int:
    """Length of the median filter in steps of `step_s` seconds: the odd number nearest to `median_s`, at least 1."""
    return max(1, 2 * round((median_s / step_s - 1) / 2) + 1)


def median_filter(scores: np.ndarray, length: int, zero: float = 0.0) -> np.ndarray:
    """Median over time: [steps, classes] to the same shape.

    Args:
        scores: probabilities or a network's integers.
        length: of the filter in steps, an odd number.
        zero: the score that stands for a probability of 0, which is there beyond the ends.
    """
    half = length // 2
    return _medians(np.pad(scores, ((half, half), (0, 0)), constant_values=zero), half)


class EventDecoder:
    """Decodes scores that come in parts of any size, in memory that does not grow with their number.

    Args:
        classes: number of classes.
        median: length of the median filter in steps, an odd number; 1 is none.
        on_above: an event begins where the filtered score is above this.
        off_above: it lasts as long as the filtered score is above this: at most `on_above`, which it is if left out.
        zero: the score that stands for a probability of 0, which is there before the start and after the end.

    Raises:
        ValueError: a median filter of even length, or `off_above` over `on_above`.

    Example:
        >>> decoder = EventDecoder(1, median=1, on_above=0.5, off_above=0.2)
        >>> [change[:2] for change in decoder.push(np.array([[0.1], [0.9], [0.3], [0.1]]))]
        [(1, 0), (1, 3)]
    """

    def __init__(
        self, classes: int, median: int, on_above: float, off_above: float | None = None, zero: float = 0.0
    ) -> None:
        off_above = on_above if off_above is None else off_above
        if median < 1 or median % 2 == 0:
            raise ValueError(f"a median filter of {median} steps: the length must be odd")
        if off_above > on_above:
            raise ValueError(f"events end above {off_above} but begin above {on_above} only")
        self._classes, self._half, self._zero = classes, median // 2, zero
        self._on, self._off = on_above, off_above
        self.reset()

    def reset(self) -> None:
        """Begins anew: no class is active, and the next step is step 0."""
        self._tail: np.ndarray | None = None  # what the filter's next window begins with
        self._filtered = 0
        self._active = np.zeros(self._classes, bool)
        self._open: dict[int, tuple[int, Any]] = {}  # of an active class: its onset, and the scores' sum

    def push(self, scores: np.ndarray) -> list[Change]:
        """Takes the next scores [steps, classes]; gives what began or ended by them, by step and then by class."""
        scores = np.asarray(scores)
        if self._tail is None:
            self._tail = np.full((self._half, self._classes), self._zero, scores.dtype)
        values = np.concatenate([self._tail, scores])
        ready = len(values) - 2 * self._half
        if ready <= 0:
            self._tail = values
            return []
        self._tail = values[ready:].copy()
        changes = self._follow(_medians(values, self._half))
        self._filtered += ready
        return changes

    def finish(self) -> list[Change]:
        """Ends a clip: decodes what the filter holds back, and ends what is active. Then it is as after `reset`."""
        changes: list[Change] = []
        if self._half and self._tail is not None:
            changes = self.push(np.full((self._half, self._classes), self._zero, self._tail.dtype))
        for label, (onset, total) in sorted(self._open.items()):
            changes.append(Change(onset, self._filtered, label, total, True))
        self.reset()
        return changes

    def _follow(self, filtered: np.ndarray) -> list[Change]:
        """Goes on by the next filtered scores [steps, classes]."""
        active = filtered > self._on
        if self._off < self._on:
            # Between the thresholds a class is as it was at the last step that decided.
            decided = np.concatenate([np.ones((1, self._classes), bool), active | ~(filtered > self._off)])
            last = np.maximum.accumulate(np.where(decided, np.arange(len(decided))[:, None], 0), axis=0)
            active = np.take_along_axis(np.concatenate([self._active[None], active]), last, axis=0)[1:]
        before = np.concatenate([self._active[None], active[:-1]])
        self._active = active[-1].copy()
        changes, begins = [], dict.fromkeys(self._open, 0)
        for step, label in np.argwhere(active != before).tolist():
            if label in begins:
                onset, total = self._open.pop(label, (self._filtered + begins[label], 0))
                total += _sum(filtered[begins.pop(label) : step, label])
                changes.append(Change(onset, self._filtered + step, label, total, True))
            else:
                begins[label] = step
                changes.append(Change(self._filtered + step, 0, label, 0, False))
        for label, begin in begins.items():
            onset, total = self._open.get(label, (self._filtered + begin, 0))
            self._open[label] = (onset, total + _sum(filtered[begin:, label]))
        return changes


def decode(
    probabilities: np.ndarray, grid: Grid, labels: Sequence[str], settings: DecodeSettings | None = None
) -> list[tuple[Event, float]]:
    """Events of one clip with their scores.

    Args:
        probabilities: [steps, classes].
        grid: the grid of the steps.
        labels: the class names.
        settings: how to decode; the defaults if left out.

    Returns:
        (event, mean filtered probability within it), by onset.
    """
    decoder = EventDecoder(len(labels), **decoder_numbers(settings or DecodeSettings(), grid.step_s))
    return events_of([*decoder.push(probabilities), *decoder.finish()], grid, labels)


def events_of(changes: Iterable[Change], grid: Grid, labels: Sequence[str]) -> list[tuple[Event, float]]:
    """The events that ended, in seconds, with their mean scores, by onset. `grid` is that of all steps of the clip."""
    edges_s = grid.boundaries_s()
    return sorted(
        (
            Event(float(edges_s[change.onset]), float(edges_s[change.offset]), labels[change.label]),
            change.score_sum / (change.offset - change.onset),
        )
        for change in changes
        if change.ended
    )


def decoder_numbers(settings: DecodeSettings, step_s: float, port: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """The arguments of `EventDecoder`, and of the C event decoder, beside the number of classes.

    Args:
        settings: how to decode.
        step_s: seconds from one step to the next.
        port: `scale`, `zero_point` and `dtype` of the output whose integers are decoded; None for probabilities.

    Returns:
        `median` in steps; `on_above`, `off_above` and `zero` as probabilities or in the port's integers.
    """
    thresholds = [settings.threshold, settings.off_threshold]
    zero = 0.0
    if port is not None:
        thresholds = [integer_threshold(each, port["scale"], port["zero_point"], port["dtype"]) for each in thresholds]
        zero = port["zero_point"]
    on_above, off_above = thresholds
    median = median_steps(settings.median_s, step_s)
    return {"median": median, "on_above": on_above, "off_above": off_above, "zero": zero}


def integer_threshold(threshold: float, scale: float, zero_point: int, dtype: str) -> int:
    """A threshold for probabilities as one for a quantized network's integers.

    Args:
        threshold: a probability is over it where it is above it.
        scale: of the network's output: probability = scale * (integer - zero_point), in float32.
        zero_point: of the network's output.
        dtype: of the output, "int8" or "int16".

    Returns:
        The largest integer whose probability is not above the threshold: integers above it are.
    """
    limits = np.iinfo(dtype)
    integers = np.arange(limits.min, limits.max + 1)
    probabilities = ((integers - float(zero_point)) * scale).astype(np.float32)
    return int(max(limits.min, limits.min + np.count_nonzero(probabilities <= np.float32(threshold)) - 1))


def _medians(values: np.ndarray, half: int) -> np.ndarray:
    """Medians of each 2 half + 1 rows in a row: [rows, classes] to [rows - 2 half, classes]."""
    if not half:
        return values
    windows = np.lib.stride_tricks.sliding_window_view(values, 2 * half + 1, axis=0)
    return np.partition(windows, half, axis=-1)[..., half]


def _sum(scores: np.ndarray) -> Any:
    return scores.sum(dtype=np.int64 if scores.dtype.kind == "i" else np.float64).item()
