"""What a teacher from outside says of clips, as batches hold it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from keras_mtl.decoding import Grid


@dataclass(frozen=True)
class Taught:
    """What a teacher says of some clips: an array [clips, ...] for each key that a batch has of it."""

    targets: dict[str, np.ndarray]

    def of(self, index: np.ndarray) -> dict[str, np.ndarray]:
        """Of the clips at these places."""
        return {key: np.asarray(values[index], np.float32) for key, values in self.targets.items()}


@dataclass(frozen=True)
class TaughtEvents:
    """What a teacher says of the events of some clips.

    Attributes:
        events: float16 [clips, windows, events], probabilities; window k is centred at k x `hop_s`.
        told: bool [clips], whether it says something of the clip.
        hop_s: seconds from window to window.
    """

    events: np.ndarray
    told: np.ndarray
    hop_s: float

    def on(self, grid: Grid, index: np.ndarray) -> np.ndarray:
        """Of the clips at these places, linearly between the windows: float32 [clips, grid.count, events]."""
        windows = np.clip((grid.start_s + (np.arange(grid.count) + 0.5) * grid.step_s) / self.hop_s, 0, None)
        before = np.minimum(windows.astype(int), self.events.shape[1] - 1)
        after, share = np.minimum(before + 1, self.events.shape[1] - 1), (windows - before)[:, None]
        values = np.asarray(self.events[index], np.float32)
        share = np.clip(share, 0.0, 1.0).astype(np.float32)
        return (1.0 - share) * values[:, before] + share * values[:, after]
