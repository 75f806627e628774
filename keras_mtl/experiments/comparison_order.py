"""The order of a comparison's rows: by a figure, by what runs cost, or by name."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from keras_mtl.experiments.comparison import RunRow

#: What rows can be put in order of: figures from the best down, costs and minutes from the least up, names by alphabet.
SORTS: dict[str, Callable[[RunRow], Any]] = {
    "given": lambda row: 0,
    "name": lambda row: row.name,
    "accuracy": lambda row: _best_first(row, "accuracy"),
    "macro_accuracy": lambda row: _best_first(row, "macro_accuracy"),
    "event_f1": lambda row: _best_first(row, "event_f1_macro"),
    "psds1": lambda row: _best_first(row, "psds1"),
    "psds2": lambda row: _best_first(row, "psds2"),
    "weak_f1": lambda row: _best_first(row, "weak_f1_macro"),
    "params": lambda row: _least_first(row.params),
    "macs": lambda row: _least_first(row.macs_per_second),
    "minutes": lambda row: _least_first(row.training_minutes),
}


def _best_first(row: RunRow, figure: str) -> tuple[bool, float]:
    return (figure not in row.figures, -row.figures[figure].value if figure in row.figures else 0.0)


def _least_first(value: float | None) -> tuple[bool, float]:
    return (value is None, value or 0.0)


def in_order(rows: Iterable[RunRow], sort: str) -> list[RunRow]:
    """Rows in order of `sort`, a key of `SORTS`; ties, and rows without the figure at the end, stay as given."""
    return sorted(rows, key=SORTS[sort])
