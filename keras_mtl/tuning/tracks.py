"""Frame probabilities of many recordings, computed once, to be decoded with many settings."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from keras_mtl.decoding import DecodeSettings, Event, EventDecoder, Grid, decoder_numbers, median_filter

_HOUR_S = 3600.0


@dataclass(eq=False)
class Tracks:
    """Frame probabilities of recordings or clips, with their true events.

    Attributes:
        probabilities: of each recording, float [steps, classes].
        grids: the grid of each.
        labels: the classes.
        truth: the true events of each recording; none of ambient audio.
    """

    probabilities: Sequence[np.ndarray]
    grids: Sequence[Grid]
    labels: Sequence[str]
    truth: Sequence[Sequence[Event]] = ()
    _columns: dict[Any, np.ndarray] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        self.truth = self.truth or [[] for _ in self.probabilities]

    def __len__(self) -> int:
        return len(self.probabilities)

    @property
    def hours(self) -> float:
        """Hours of audio."""
        return sum(grid.duration_s for grid in self.grids) / _HOUR_S

    @functools.cached_property
    def edges_s(self) -> list[np.ndarray]:
        """Where the steps of each recording begin, and where the last one ends."""
        return [grid.boundaries_s() for grid in self.grids]

    def truth_of(self, label: str) -> list[list[Event]]:
        """The true events of one class, of each recording."""
        return [[event for event in events if event.label == label] for events in self.truth]

    def decode(self, label: str, settings: DecodeSettings) -> list[list[Event]]:
        """The events of one class in each recording, as `keras_mtl.decoding.decode` gives them.

        The recordings are decoded as one, with silence between them that no filter and no gap reaches over.

        Args:
            label: the class.
            settings: of this class, without overrides.
        """
        found: list[list[Event]] = [[] for _ in self.probabilities]
        if not len(self):
            return found
        numbers = decoder_numbers(settings, [label], self.grids[0].step_s)
        (median,), (gap,) = numbers["median"], numbers["gap"]
        space = median + gap + 1
        filtered = self._filtered(label, median, space)
        decoder = EventDecoder(1, **{**numbers, "median": 1})
        starts = self._starts(space)
        for change in [*decoder.push(filtered[:, None]), *decoder.finish()]:
            if change.ended:
                place = int(np.searchsorted(starts, change.onset, side="right")) - 1
                edges_s, start = self.edges_s[place], int(starts[place])
                onset_s, offset_s = edges_s[change.onset - start], edges_s[change.offset - start]
                found[place].append(Event(float(onset_s), float(offset_s), label))
        return found

    def _starts(self, space: int) -> np.ndarray:
        lengths = [len(each) + space for each in self.probabilities]
        return np.concatenate([[0], np.cumsum(lengths)[:-1]]).astype(int)

    def _filtered(self, label: str, median: int, space: int) -> np.ndarray:
        """The filtered probabilities of one class, with `space` steps of silence after each recording."""
        column, key = list(self.labels).index(label), (label, median, space)
        if key not in self._columns:
            self._columns = {kept: values for kept, values in self._columns.items() if kept[0] == label}
            parts = [np.append(each[:, column], np.zeros(space, each.dtype)) for each in self.probabilities]
            self._columns[key] = median_filter(np.concatenate(parts)[:, None], median)[:, 0]
        return self._columns[key]
