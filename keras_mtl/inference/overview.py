"""A picture's worth of rows out of any number: rows are thinned by twos as more of them come."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np


class Overview:
    """Keeps at most `most` rows; each stands for `step` rows that were pushed, 1 as long as all of them fit.

    Args:
        most: rows to keep at most, an even number.
        reduce: what one row is of several, such as `np.mean` or `np.max`; called with `axis=1`.
    """

    def __init__(self, most: int, reduce: Callable[..., np.ndarray]) -> None:
        self.step = 1
        self.count = 0
        self._most = most
        self._reduce = reduce
        self._rows: list[np.ndarray] = []  # of `step` each
        self._kept = 0
        self._rest: np.ndarray | None = None  # fewer than `step`, as they came

    def push(self, rows: np.ndarray) -> None:
        """Takes [n, ...]."""
        self.count += len(rows)
        if self._rest is not None:
            rows = np.concatenate([self._rest, rows])
        while True:
            whole = min(len(rows) // self.step, self._most - self._kept)
            if whole:
                self._rows.append(self._grouped(rows[: whole * self.step], self.step))
                self._kept += whole
                rows = rows[whole * self.step :]
            if self._kept < self._most or len(rows) < self.step:
                break
            self._rows = [self._grouped(np.concatenate(self._rows), 2)]
            self._kept //= 2
            self.step *= 2
        self._rest = rows.copy()

    def rows(self) -> np.ndarray:
        """The rows, [at most `most` + 1, ...]; the last one stands for what is left.

        Raises:
            ValueError: nothing was pushed.
        """
        if self._rest is None:
            raise ValueError("no rows were pushed")
        return np.concatenate([*self._rows, self._grouped(self._rest, len(self._rest))])

    def _grouped(self, rows: np.ndarray, size: int) -> np.ndarray:
        if size < 2:
            return rows
        return self._reduce(rows.reshape(-1, size, *rows.shape[1:]), axis=1).astype(rows.dtype)
