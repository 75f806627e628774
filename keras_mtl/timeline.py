"""Events in seconds, and the grid of embeddings: how one is turned into the other, in both directions.

Frame t of the log-mel is centred at t x 10 ms, and embedding k covers frames 4k .. 4k + 3. So embedding k stands for
the stretch from 40k - 5 ms to 40k + 35 ms. Targets and decoded events both use this grid: no systematic shift.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from keras_mtl.features import LogMelSettings


class Event(NamedTuple):
    """One sound event: from `onset_s` to `offset_s` seconds, of class `label`."""

    onset_s: float
    offset_s: float
    label: str


@dataclass(frozen=True)
class Grid:
    """The grid of embeddings over a clip.

    Attributes:
        step_s: seconds from one embedding to the next.
        start_s: where embedding 0 begins; negative, since frames are centred.
        count: embeddings in the clip.
        duration_s: length of the clip in seconds.
    """

    step_s: float
    start_s: float
    count: int
    duration_s: float

    @classmethod
    def over(cls, settings: LogMelSettings, frames: int, frames_per_embedding: int) -> Grid:
        """The grid over `frames` log-mel frames."""
        hop_s = settings.hop / settings.sample_rate_hz
        count = frames // frames_per_embedding
        return cls(hop_s * frames_per_embedding, -hop_s / 2, count, frames * hop_s)

    def boundaries_s(self) -> np.ndarray:
        """Where each embedding begins, and where the last one ends, cut to the clip: float64 [count + 1]."""
        edges = self.start_s + self.step_s * np.arange(self.count + 1)
        edges[-1] = self.duration_s
        return np.clip(edges, 0.0, self.duration_s)

    def targets(self, events: Sequence[Event], labels: Sequence[str]) -> np.ndarray:
        """Frame targets of a clip: float32 [count, len(labels)], 1 where the event covers most of the embedding.

        An event shorter than that still marks the embedding around its middle.
        """
        out = np.zeros((self.count, len(labels)), np.float32)
        for onset_s, offset_s, label in events:
            first = int(np.round((onset_s - self.start_s) / self.step_s))
            last = int(np.round((offset_s - self.start_s) / self.step_s))
            if last <= first:
                first = int(((onset_s + offset_s) / 2 - self.start_s) / self.step_s)
                last = first + 1
            out[min(first, self.count - 1) : last, labels.index(label)] = 1.0
        return out
