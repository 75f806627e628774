"""Events while they sound: median filter, threshold with hysteresis, begins and ends as soon as they are known.

What `decoding` does to a whole clip, as a device does it to a stream. The filter sees as many steps ahead as back, so
what is said about a step is known median // 2 steps later; steps are named as they were heard, the delay taken off.
With two equal thresholds the events are those of `decoding.decode`. Scores may be probabilities or the integers of a
quantized network; the C event decoder of a firmware bundle does the same to the latter, to the integer.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np


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


class CausalDecoder:
    """Decodes scores that come in parts of any size.

    Args:
        classes: number of classes.
        median: length of the median filter in steps, an odd number; 1 is none.
        on_above: an event begins where the filtered score is above this.
        off_above: it lasts as long as the filtered score is above this: at most `on_above`, which it is if left out.
        zero: the score that stands for a probability of 0, which is there before the start and after the end.

    Raises:
        ValueError: a median filter of even length, or `off_above` over `on_above`.

    Example:
        >>> decoder = CausalDecoder(1, median=1, on_above=0.5, off_above=0.2)
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
        """Begins anew: nothing sounds, and the next step is step 0."""
        self._tail: np.ndarray | None = None  # what the filter's next window begins with
        self._filtered = 0
        self._active = np.zeros(self._classes, bool)
        self._open: dict[int, tuple[int, Any]] = {}  # of a class that sounds: since when, and the scores' sum

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
        if self._half:
            windows = np.lib.stride_tricks.sliding_window_view(values, 2 * self._half + 1, axis=0)
            values = np.partition(windows, self._half, axis=-1)[..., self._half]
        changes = self._follow(values)
        self._filtered += ready
        return changes

    def finish(self) -> list[Change]:
        """Ends a clip: decodes what the filter holds back, and ends what sounds. Then it is as after `reset`."""
        changes: list[Change] = []
        if self._half and self._tail is not None:
            changes = self.push(np.full((self._half, self._classes), self._zero, self._tail.dtype))
        for label, (onset, total) in sorted(self._open.items()):
            changes.append(Change(onset, self._filtered, label, total, True))
        self.reset()
        return changes

    def _follow(self, filtered: np.ndarray) -> list[Change]:
        """Goes on by the next filtered scores [steps, classes]."""
        # 1 where an event begins or goes on in any case, -1 where none can be, 0 where it stays as it was.
        decided = np.where(filtered > self._on, 1, np.where(filtered > self._off, 0, -1))
        decided = np.concatenate([np.where(self._active, 1, -1)[None], decided])
        last = np.maximum.accumulate(np.where(decided != 0, np.arange(len(decided))[:, None], 0), axis=0)
        active = np.take_along_axis(decided, last, axis=0) > 0
        self._active = active[-1]
        changes, begins = [], dict.fromkeys(self._open, 0)
        for step, label in np.argwhere(active[1:] != active[:-1]).tolist():
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


def _sum(scores: np.ndarray) -> Any:
    return scores.sum(dtype=np.int64 if scores.dtype.kind == "i" else np.float64).item()
