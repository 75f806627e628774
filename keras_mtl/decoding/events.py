"""From frame scores to events: median filter, threshold with hysteresis, pauses joined, short events dropped.

One decoder serves whole clips and streams: it takes scores in parts of any size and gives the same events, each change
as soon as it is known. Every class has numbers of its own. Its filter sees as many steps ahead as back, so a step is
decided median // 2 steps later; steps are counted without this delay. Scores may be probabilities or the integers of a
quantized network; the C event decoder of a firmware bundle does the same to the latter, to the integer.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from keras_mtl.decoding.settings import DecodeSettings
from keras_mtl.decoding.timeline import Event, Grid

# Part of a step by which seconds in steps may be off for being divided.
_DECIMALS = 6


class Change(NamedTuple):
    """An event of one class began, or ended.

    Attributes:
        onset: the event's first step.
        offset: the step after its last one; 0 while it lasts.
        label: number of the class.
        score_sum: filtered scores summed over its steps, joined pauses included; 0 while it lasts. Its mean score is
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


def median_filter(scores: np.ndarray, length: int | Sequence[int], zero: float = 0.0) -> np.ndarray:
    """Median over time: [steps, classes] to the same shape.

    Args:
        scores: probabilities or a network's integers.
        length: of the filter in steps, an odd number; of all classes, or of each.
        zero: the score that stands for a probability of 0, which is there beyond the ends.
    """
    lengths, out = np.broadcast_to(length, scores.shape[1]), np.empty_like(scores)
    for each in np.unique(lengths).tolist():
        half, columns = each // 2, lengths == each
        out[:, columns] = _medians(np.pad(scores[:, columns], ((half, half), (0, 0)), constant_values=zero), half)
    return out


@dataclass
class _Open:
    """An event of one class that began and has not ended, as far as is known.

    Attributes:
        onset: its first step.
        told: whether its begin was told: until it has lasted for the shortest, nothing is.
        score_sum: filtered scores up to its last step above the threshold.
        pause: steps of the pause since.
        pause_sum: filtered scores of the pause.
    """

    onset: int
    told: bool = False
    score_sum: Any = 0
    pause: int = 0
    pause_sum: Any = 0


class EventDecoder:
    """Decodes scores that come in parts of any size, in memory that does not grow with their number.

    Each number but the first and `zero` is of all classes, or a sequence with that of each.

    Args:
        classes: number of classes.
        median: length of the median filter in steps, an odd number; 1 is none.
        on_above: an event begins where the filtered score is above this.
        off_above: it lasts as long as the filtered score is above this: at most `on_above`, which it is if left out.
        zero: the score that stands for a probability of 0, which is there before the start and after the end.
        shortest: an event of fewer steps is dropped; its begin is told when it has lasted for so many.
        gap: an event goes on after a pause of so many steps, and ends with a longer one.

    Raises:
        ValueError: a median filter of even length, `off_above` over `on_above`, or numbers of another count of classes.

    Example:
        >>> decoder = EventDecoder(1, median=1, on_above=0.5, off_above=0.2)
        >>> [change[:2] for change in decoder.push(np.array([[0.1], [0.9], [0.3], [0.1]]))]
        [(1, 0), (1, 3)]
    """

    def __init__(
        self,
        classes: int,
        median: int | Sequence[int],
        on_above: float | Sequence[float],
        off_above: float | Sequence[float] | None = None,
        zero: float = 0.0,
        shortest: int | Sequence[int] = 0,
        gap: int | Sequence[int] = 0,
    ) -> None:
        self._classes, self._zero = classes, zero
        medians, self._on = np.broadcast_to(median, classes), np.broadcast_to(on_above, classes)
        self._off = self._on if off_above is None else np.broadcast_to(off_above, classes)
        self._shortest, self._gap = (np.broadcast_to(each, classes).tolist() for each in (shortest, gap))
        for length, on, off in zip(medians.tolist(), self._on.tolist(), self._off.tolist(), strict=True):
            if length < 1 or length % 2 == 0:
                raise ValueError(f"a median filter of {length} steps: the length must be odd")
            if off > on:
                raise ValueError(f"events end above {off} but begin above {on} only")
        # Classes with a filter of one length go together.
        halves = medians // 2
        self._groups = [(half, np.flatnonzero(halves == half)) for half in np.unique(halves).tolist()]
        self._longest = int(halves.max(initial=0))
        self.reset()

    def reset(self) -> None:
        """Begins anew: no class is active, and the next step is step 0."""
        self._tail: np.ndarray | None = None  # the last scores: what the longest filter's next window begins with
        self._steps = 0
        self._active = np.zeros(self._classes, bool)  # whether the last filtered score was above the threshold
        self._open: dict[int, _Open] = {}

    def push(self, scores: np.ndarray) -> list[Change]:
        """Takes the next scores [steps, classes]; gives what began or ended by them.

        In the order in which it became known: by the step of the scores that was the last to be needed, and by class.
        """
        scores = np.asarray(scores)
        if self._tail is None:
            self._tail = np.full((2 * self._longest, self._classes), self._zero, scores.dtype)
        values = np.concatenate([self._tail, scores])
        self._tail = values[len(scores) :].copy()
        self._steps += len(scores)
        return self._decode(values, self._steps - len(scores), [self._steps - half for half, _ in self._groups])

    def finish(self) -> list[Change]:
        """Ends a clip: decodes what the filters hold back, and ends what is active. Then it is as after `reset`."""
        changes: list[Change] = []
        if self._longest and self._tail is not None:
            silence = np.full((self._longest, self._classes), self._zero, self._tail.dtype)
            values = np.concatenate([self._tail, silence])
            changes = self._decode(values, self._steps, [self._steps] * len(self._groups))
        for label, event in sorted(self._open.items()):
            if event.told:
                changes.append(Change(event.onset, self._steps - event.pause, label, event.score_sum, True))
        self.reset()
        return changes

    def _decode(self, values: np.ndarray, before: int, ends: Sequence[int]) -> list[Change]:
        """Goes on with all classes.

        Args:
            values: scores from twice the longest half filter before step `before` on.
            before: number of steps of which the changes that they make known have been given.
            ends: for each group, the step up to which it is to be filtered.
        """
        found: list[tuple[int, Change]] = []
        for (half, columns), end in zip(self._groups, ends, strict=True):
            first = max(0, before - half)
            if end > first:
                place = first - half - before + 2 * self._longest
                filtered = _medians(values[place : place + end - first + 2 * half, columns], half)
                found += [(step + half, change) for step, change in self._follow(filtered, first, columns)]
        return [change for _, change in sorted(found, key=lambda known: (known[0], known[1].label))]

    def _follow(self, filtered: np.ndarray, first: int, columns: np.ndarray) -> list[tuple[int, Change]]:
        """Goes on with some classes by their filtered scores [steps, columns] from step `first` on.

        Gives each change with the filtered step by which it is known.
        """
        on, off, was = self._on[columns], self._off[columns], self._active[columns]
        if filtered.dtype.kind == "f":  # compared as scores are: 0.3 of float32 is not above 0.3
            on, off = on.astype(filtered.dtype), off.astype(filtered.dtype)
        active = filtered > on
        if (off < on).any():
            # Between the thresholds a class is as it was at the last step that decided.
            decided = np.concatenate([np.ones((1, len(columns)), bool), active | ~(filtered > off)])
            last = np.maximum.accumulate(np.where(decided, np.arange(len(decided))[:, None], 0), axis=0)
            active = np.take_along_axis(np.concatenate([was[None], active]), last, axis=0)[1:]
        self._active[columns] = active[-1]
        changed, found = np.diff(active, axis=0), []
        visited = active.any(axis=0) | np.fromiter((label in self._open for label in columns.tolist()), bool)
        for column in np.flatnonzero(visited).tolist():
            borders = [0, *(np.flatnonzero(changed[:, column]) + 1).tolist(), len(filtered)]
            for begin, end in itertools.pairwise(borders):
                score_sum = _sum(filtered[begin:end, column])
                go_on = self._sound if active[begin, column] else self._pause
                found += go_on(int(columns[column]), first + begin, first + end, score_sum)
        return found

    def _sound(self, label: int, begin: int, end: int, score_sum: Any) -> list[tuple[int, Change]]:
        """Goes on with a class that is above the threshold from one step up to another."""
        event = self._open.setdefault(label, _Open(begin))
        event.score_sum += event.pause_sum + score_sum
        event.pause = event.pause_sum = 0
        lasting = event.onset + self._shortest[label]
        if event.told or lasting > end:
            return []
        event.told = True
        return [(max(begin, lasting - 1), Change(event.onset, 0, label, 0, False))]

    def _pause(self, label: int, begin: int, end: int, score_sum: Any) -> list[tuple[int, Change]]:
        """Goes on with a class that is not above the threshold from one step up to another."""
        event = self._open.get(label)
        if event is None:
            return []
        offset = begin - event.pause
        if end - offset <= self._gap[label]:
            event.pause, event.pause_sum = end - offset, event.pause_sum + score_sum
            return []
        del self._open[label]
        ended = Change(event.onset, offset, label, event.score_sum, True)
        return [(offset + self._gap[label], ended)] if event.told else []


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

    Raises:
        RecipeError: as of `decoder_numbers`.
    """
    decoder = EventDecoder(len(labels), **decoder_numbers(settings or DecodeSettings(), labels, grid.step_s))
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


def decoder_numbers(
    settings: DecodeSettings, labels: Sequence[str], step_s: float, port: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """The arguments of `EventDecoder`, and of the C event decoder, beside the number of classes.

    Args:
        settings: how to decode.
        labels: the class names.
        step_s: seconds from one step to the next.
        port: `scale`, `zero_point` and `dtype` of the output whose integers are decoded; None for probabilities.

    Returns:
        Of each class, in tuples: `median`, `shortest` and `gap` in steps, `on_above` and `off_above` as probabilities
        or in the port's integers; and `zero`, the same of all.

    Raises:
        RecipeError: settings for a class that is not there, or a median filter that is still to be found.
    """
    settings.require_classes(labels)
    each = [settings.of(label) for label in labels]
    thresholds = [(of.threshold, of.off_threshold) for of in each]
    if port is not None:
        of_port = functools.cache(lambda at: integer_threshold(at, port["scale"], port["zero_point"], port["dtype"]))
        thresholds = [(of_port(on), of_port(off)) for on, off in thresholds]
    return {
        "median": tuple(median_steps(settings.median_of(label), step_s) for label in labels),
        "on_above": tuple(on for on, _ in thresholds),
        "off_above": tuple(off for _, off in thresholds),
        "shortest": tuple(math.ceil(round(of.shortest_s / step_s, _DECIMALS)) for of in each),
        "gap": tuple(math.floor(round(of.gap_s / step_s, _DECIMALS)) for of in each),
        "zero": 0.0 if port is None else port["zero_point"],
    }


def begin_delay_steps(numbers: Mapping[str, Any]) -> int:
    """The most steps that the begin of an event is known after its first step, of the slowest class.

    These are half its median filter, the steps until the event has lasted for the shortest, and one pause of the
    longest that an event goes on after: a class that waits for the shortest may fall silent just before. How much later
    an end is known, which takes a pause longer than the gap, is not in it.

    Args:
        numbers: as of `decoder_numbers`.
    """
    classes = zip(numbers["median"], numbers["shortest"], numbers["gap"], strict=True)
    waits = (median // 2 + (shortest - 1 + gap if shortest > 1 else 0) for median, shortest, gap in classes)
    return max(waits, default=0)


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
