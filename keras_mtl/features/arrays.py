"""Log-mel levels of many clips that lie in several files: like an array, but only the clips asked for are read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np


class Levels:
    """Rows of several arrays, one after the other, or some of them: float16 [clips, frames, mel_bands] in dB.

    The arrays are files mapped into memory, so a set of any size costs no more memory than the rows that are read.
    An index with a number, a slice or an array of numbers gives an array; `take` and `join` give `Levels`.

    Args:
        parts: arrays [clips, frames, mel_bands] of the same frames and bands.
        rows: which rows of all parts, counted through, and in which order: int [clips]. None for all.
    """

    def __init__(self, parts: Sequence[np.ndarray], rows: np.ndarray | None = None) -> None:
        self._parts = tuple(parts)
        self._ends = np.cumsum([len(part) for part in self._parts])
        self._rows = np.arange(self._ends[-1]) if rows is None else rows
        self.shape = (len(self._rows), *self._parts[0].shape[1:])
        self.dtype = self._parts[0].dtype

    def __len__(self) -> int:
        return len(self._rows)

    def __iter__(self) -> Iterator[np.ndarray]:
        return (self[index] for index in range(len(self)))

    def __getitem__(self, index: Any) -> np.ndarray:
        """Rows as an array: [frames, mel_bands] of one number, [n, frames, mel_bands] of a slice or n numbers."""
        rows = self._rows[index]
        if rows.ndim == 0:
            return np.asarray(self._row(int(rows)))
        out = np.empty((len(rows), *self.shape[1:]), self.dtype)
        for place, row in enumerate(rows):
            out[place] = self._row(int(row))
        return out

    def __array__(self, dtype: Any = None) -> np.ndarray:
        return self[:] if dtype is None else self[:].astype(dtype)

    def take(self, index: np.ndarray) -> Levels:
        """The clips at these places, without reading them."""
        return Levels(self._parts, self._rows[index])

    def join(self, other: Levels) -> Levels:
        """The clips of both, without reading them."""
        return Levels(self._parts + other._parts, np.concatenate([self._rows, other._rows + self._ends[-1]]))

    def _row(self, row: int) -> np.ndarray:
        part = int(np.searchsorted(self._ends, row, side="right"))
        return self._parts[part][row - self._ends[part]]


#: Levels that are in memory, or those that are read where they are needed.
AnyLevels = np.ndarray | Levels


def take(levels: AnyLevels, index: np.ndarray) -> AnyLevels:
    """The clips at these places; of `Levels` without reading them."""
    return levels.take(index) if isinstance(levels, Levels) else levels[index]


def join(first: AnyLevels, second: AnyLevels) -> AnyLevels:
    """The clips of both; of `Levels` without reading them."""
    if isinstance(first, Levels) and isinstance(second, Levels):
        return first.join(second)
    return np.concatenate([np.asarray(first), np.asarray(second)])
