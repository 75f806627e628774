"""Events in seconds, and the grid of embeddings: how one is turned into the other, in both directions.

Frame t of the log-mel is centred at t hops, and embedding k covers frames s k .. s k + s - 1, s being the stride of the
network's encoder. So embedding k stands for the stretch from half a hop before its first frame to half a hop after its
last one: 40k - 5 ms to 40k + 35 ms with hops of 10 ms and s = 4. Targets and decoded events both use this grid: no
systematic shift. The ends are cut to the clip, and the last embedding reaches to the end of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from keras_mtl.core import LogMelSettings


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
    def over(cls, settings: LogMelSettings, frames: int, frames_per_embedding: int, count: int | None = None) -> Grid:
        """The grid over a clip.

        Args:
            settings: the features.
            frames: log-mel frames of the clip.
            frames_per_embedding: frames from one embedding to the next.
            count: embeddings that the network gives for so many frames; None where it gives whole ones only.
        """
        count = frames // frames_per_embedding if count is None else count
        return cls(settings.hop_s * frames_per_embedding, -settings.hop_s / 2, count, settings.seconds(frames))

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
            last = int(np.round((offset_s - self.start_s) / self.step_s)) if offset_s < self.duration_s else self.count
            if last <= first:
                first = int(((onset_s + offset_s) / 2 - self.start_s) / self.step_s)
                last = first + 1
            out[min(first, self.count - 1) : last, labels.index(label)] = 1.0
        return out
