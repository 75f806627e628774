"""What a run gains or loses against another one, task by task: the negative transfer of a multitask training.

A run folder holds the figures and their intervals, and no outputs of single recordings. Two intervals say little about
the interval of a difference: both runs were scored on the same recordings, and are good and bad on the same ones. So
that interval is made only by scoring both runs again on the same draws of recordings: the percentiles of the
difference, draw by draw (paired percentile bootstrap, Efron and Tibshirani 1993).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from keras_mtl.core import RunError
from keras_mtl.experiments.comparison import FIGURES, Comparison, Difference, RunRow
from keras_mtl.metrics import Bootstrap

UNPAIRED = "without intervals: run folders hold no outputs of single recordings; --data DIR scores the runs again"

#: Draw by draw: {figure: its values over the draws, [resamples]}, as `draws_of` gives them.
Draws = dict[str, np.ndarray]


def with_differences(
    comparison: Comparison,
    against: Sequence[RunRow],
    draws: Callable[[RunRow], Draws] | None = None,
    bootstrap: Bootstrap | None = None,
) -> Comparison:
    """The comparison with each run's differences to the runs `against`, in the tasks that both have.

    Args:
        comparison: the runs.
        against: the runs to hold them against, which need not be among them.
        draws: a run's figures over the draws of recordings, the same draws for all runs; without it, differences have
            no intervals.
        bootstrap: what made the draws.

    Raises:
        RunError: nothing can be compared: no task in common, or other data.
    """
    bootstrap = bootstrap or Bootstrap()
    known: dict[str, Draws] = {}

    def of(row: RunRow) -> Draws:
        if draws is not None and row.path not in known:
            known[row.path] = draws(row)
        return known.get(row.path, {})

    found = []
    for row in comparison.rows:
        for other in against:
            for figure, task in comparable_figures(row, other):
                value = row.figures[figure].value - other.figures[figure].value
                low, high = None, None
                if draws is not None:
                    low, high = bootstrap.interval(of(row)[figure] - of(other)[figure]) or (None, None)
                found.append(Difference(row.name, other.name, task, figure, value, low, high))
    if not found:
        names = ", ".join(row.name for row in against)
        raise RunError(f"no run has a task in common with {names} that was scored on the same data")
    method = f"paired percentile bootstrap, {bootstrap.resamples} draws of recordings, level {bootstrap.level:g}"
    return replace(comparison, differences=tuple(found), difference_method=UNPAIRED if draws is None else method)


def comparable_figures(row: RunRow, other: RunRow) -> list[tuple[str, str]]:
    """(figure, task) of what can be held against each other; nothing of a run against itself."""
    if Path(row.path).resolve() == Path(other.path).resolve():
        return []
    return [
        (figure, task)
        for figure, (task, _) in FIGURES.items()
        if figure in row.figures and figure in other.figures and row.scored_on(task) == other.scored_on(task)
    ]


@dataclass(frozen=True)
class EveryDraw(Bootstrap):
    """Keeps a figure's values over all draws where `Bootstrap` gives their interval."""

    def interval(self, values: np.ndarray) -> list[float] | None:
        """The values themselves, as floats."""
        return [float(value) for value in values]


def draws_of(metrics: dict[str, Any], row: RunRow) -> Draws:
    """Figures over the draws, out of what `evaluate(..., EveryDraw())` gave for a run.

    Raises:
        RunError: scored again, the run does not have the figures that its folder says.
    """
    found = {}
    for figure, (task, _) in FIGURES.items():
        if figure not in row.figures:
            continue
        value, before = metrics[task][figure], row.figures[figure].value
        if abs(value - before) > 1e-3:
            raise RunError(
                f"{row.path}: scored again, {figure} is {value:.4f}, and its folder says {before:.4f}",
                hint="are the data those of the run, and was it scored by this version?",
            )
        found[figure] = np.asarray(metrics[task]["intervals"][figure], np.float64)
    return found
