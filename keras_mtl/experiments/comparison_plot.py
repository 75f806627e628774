"""Draws runs side by side: scene accuracy against event F1, and the cosine between the tasks' encoder gradients."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure as Picture

from keras_mtl.core import RunError
from keras_mtl.experiments.comparison import FIGURES, Comparison, Figure, RunRow
from keras_mtl.plots import save
from keras_mtl.training import Row, conflict_logs, read_conflict

_X, _Y = "accuracy", "event_f1_macro"
_WORDS = {_X: "scene accuracy", _Y: "event F1 (macro)"}
_COLOURS = (
    "#1f6fb2",
    "#c1541b",
    "#2e8b3d",
    "#8e4aa8",
    "#b3922a",
    "#3aa6a6",
    "#c23b6a",
    "#6b6b6b",
    "#7a4b2a",
    "#4b5fd1",
)
_MARKS = ("o", "s", "^", "D", "v", "P", "X")


def plot_comparison(comparison: Comparison, path: str | Path) -> Path:
    """Draws the runs.

    Runs of both tasks are points with their 95 % intervals. A run of one task beside them is a line at its figure: what
    a network for that task alone reaches. Where no run has both tasks, each task's figure is a row of bars. Runs of the
    same configuration have the same colour.
    """
    both = [row for row in comparison.rows if _X in row.figures and _Y in row.figures]
    picture = Picture(figsize=(8.5, 5.2), layout="constrained")
    if both:
        _points(picture.subplots(), comparison.rows, both)
    else:
        _bars(picture, comparison.rows)
    if comparison.mismatches:
        picture.suptitle("scored on different data: must not be compared", fontsize=9, color="#b00020")
    return save(picture, path)


def _looks(rows: Sequence[RunRow]) -> dict[str, tuple[str, str]]:
    """Colour and mark of each configuration."""
    configurations = list(dict.fromkeys(row.configuration for row in rows))
    return {
        name: (_COLOURS[i % len(_COLOURS)], _MARKS[i // len(_COLOURS) % len(_MARKS)])
        for i, name in enumerate(configurations)
    }


def _points(axis: Any, rows: Sequence[RunRow], both: Sequence[RunRow]) -> None:
    looks = _looks(rows)
    for row in rows:
        colour, mark = looks[row.configuration]
        if row in both:
            x, y = row.figures[_X], row.figures[_Y]
            axis.errorbar(
                x.value,
                y.value,
                xerr=_reach(x),
                yerr=_reach(y),
                fmt=mark,
                color=colour,
                ecolor=colour,
                elinewidth=0.8,
                capsize=2,
                markersize=6,
                alpha=0.85,
                label=row.name,
            )
        elif _X in row.figures:
            axis.axvline(row.figures[_X].value, color=colour, linestyle="--", linewidth=1, label=row.name)
        elif _Y in row.figures:
            axis.axhline(row.figures[_Y].value, color=colour, linestyle="--", linewidth=1, label=row.name)
    axis.set_xlabel(_WORDS[_X])
    axis.set_ylabel(_WORDS[_Y])
    # Figures are parts of 1: where they are all small, an axis would reach far below 0.
    axis.set_xlim(left=max(axis.get_xlim()[0], -0.02))
    axis.set_ylim(bottom=max(axis.get_ylim()[0], -0.02))
    axis.grid(alpha=0.15)
    axis.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), fontsize=8, frameon=False)


def _bars(picture: Any, rows: Sequence[RunRow]) -> None:
    looks = _looks(rows)
    shown = [key for key in (_X, _Y) if any(key in row.figures for row in rows)]
    axes = picture.subplots(1, max(len(shown), 1), squeeze=False)[0]
    for axis, key in zip(axes, shown, strict=False):
        having = [row for row in rows if key in row.figures]
        for place, row in enumerate(having):
            figure = row.figures[key]
            axis.barh(place, figure.value, color=looks[row.configuration][0], height=0.6)
            if (reach := _reach(figure)) is not None:
                axis.errorbar(figure.value, place, xerr=reach, color="0.2", elinewidth=0.8, capsize=2)
        axis.set_yticks(range(len(having)), [row.name for row in having], fontsize=8)
        axis.invert_yaxis()
        axis.set_xlim(0, 1)
        axis.set_xlabel(_WORDS.get(key, FIGURES[key][1]))
        axis.grid(axis="x", alpha=0.15)


def _reach(figure: Figure) -> list[list[float]] | None:
    """What Matplotlib wants of an interval: how far it reaches below and above; a percentile interval may miss both."""
    if figure.low is None or figure.high is None:
        return None
    return [[max(figure.value - figure.low, 0.0)], [max(figure.high - figure.value, 0.0)]]


_ALIGNED, _CONFLICT, _MEAN = "#2e8b3d", "#c0392b", "#1f6fb2"


def plot_conflict(runs: Mapping[str, str | Path], path: str | Path, window: int = 15) -> Path:
    """Draws every measurement of each run as a point, red where the tasks conflict, and their moving mean.

    Args:
        runs: run folders by the names to show; those without a log are left out. A training may still be going on.
        path: the picture to write; its suffix says the format (.png, .svg, .pdf).
        window: measurements in the moving mean.

    Raises:
        RunError: no run has such a log.
    """
    logs = [
        (name, phase, read_conflict(log)) for name, run in runs.items() for phase, log in conflict_logs(run).items()
    ]
    logs = [log for log in logs if log[2]]
    if not logs:
        raise RunError(
            f"{', '.join(map(str, runs.values()))}: no log of the gradients' cosine",
            hint="train both tasks at once with --set train.conflict_every=50",
        )
    figure = Picture(figsize=(9, 0.6 + 2.8 * len(logs)), layout="constrained")
    axes = figure.subplots(len(logs), 1, squeeze=False, sharey=True)[:, 0]
    for axis, (name, phase, rows) in zip(axes, logs, strict=True):
        _draw(axis, f"{name}, phase {phase}", rows, window)
    return save(figure, path)


def _draw(axis: Any, title: str, rows: list[Row], window: int) -> None:
    steps, cosines = np.asarray([row[0] for row in rows]), np.asarray([row[2] for row in rows])
    axis.scatter(steps, cosines, s=9, c=np.where(cosines < 0, _CONFLICT, _ALIGNED), alpha=0.7)
    width = min(window, len(cosines))
    if width > 1:
        mean = np.convolve(cosines, np.ones(width) / width, mode="valid")
        axis.plot(steps[width - 1 :], mean, color=_MEAN, label=f"mean of {width} measurements")
        axis.legend(loc="upper right", fontsize=8, frameon=False)
    axis.axhline(0.0, color="black", linewidth=0.8)
    axis.set_ylabel("cosine of encoder gradients")
    axis.set_xlabel("step")
    share = float((cosines < 0).mean())
    axis.set_title(f"{title}: mean {cosines.mean():+.2f}, {share:.0%} in conflict", loc="left", fontsize=10)
