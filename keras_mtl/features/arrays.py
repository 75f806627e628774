"""Log-mel of many clips, or a teacher's outputs, in several files: an array of which only what is asked for is read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np


class MappedLogMel:
    """Rows of several arrays, one after the other, or some of them: float16 [clips, frames, mel_bands] in dB.

    The arrays are files mapped into memory, so a set of any size costs no more memory than the rows that are read.
    An index with a number, a slice or an array of numbers gives an array; `take` and `join` read nothing.

    Args:
        parts: arrays [clips, frames, mel_bands] of the same frames and bands.
        rows: which rows of all parts, counted through, and in which order: int [clips]. None for all.
    """

    def __init__(self, parts: Sequence[np.ndarray], rows: np.ndarray | None = None) -> None:
        self.parts = tuple(parts)
        self._ends = np.cumsum([len(part) for part in self.parts])
        self.rows = np.arange(self._ends[-1]) if rows is None else rows
        self.shape = (len(self.rows), *self.parts[0].shape[1:])
        self.dtype = self.parts[0].dtype

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[np.ndarray]:
        return (self[index] for index in range(len(self)))

    def __getitem__(self, index: Any) -> np.ndarray:
        """Rows as an array: [frames, mel_bands] of one number, [n, frames, mel_bands] of a slice or n numbers."""
        rows = self.rows[index]
        if rows.ndim == 0:
            return np.asarray(self._row(int(rows)))
        out = np.empty((len(rows), *self.shape[1:]), self.dtype)
        for place, row in enumerate(rows):
            out[place] = self._row(int(row))
        return out

    def __array__(self, dtype: Any = None) -> np.ndarray:
        return self[:] if dtype is None else self[:].astype(dtype)

    def _row(self, row: int) -> np.ndarray:
        part = int(np.searchsorted(self._ends, row, side="right"))
        return self.parts[part][row - self._ends[part]]


#: Log-mel in memory, or read where it is needed.
AnyLogMel = np.ndarray | MappedLogMel


def take(log_mel: AnyLogMel, index: np.ndarray) -> AnyLogMel:
    """The clips at these places."""
    return MappedLogMel(log_mel.parts, log_mel.rows[index]) if isinstance(log_mel, MappedLogMel) else log_mel[index]


def join(first: AnyLogMel, second: AnyLogMel) -> AnyLogMel:
    """The clips of both."""
    if isinstance(first, MappedLogMel) and isinstance(second, MappedLogMel):
        after = second.rows + sum(len(part) for part in first.parts)
        return MappedLogMel(first.parts + second.parts, np.concatenate([first.rows, after]))
    return np.concatenate([np.asarray(first), np.asarray(second)])
