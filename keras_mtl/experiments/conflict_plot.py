"""Draws the cosine between the tasks' encoder gradients over a training, from the logs of its run folder."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from keras_mtl.core import RunError
from keras_mtl.plots import save
from keras_mtl.training import Row, conflict_logs, read_conflict

_ALIGNED, _CONFLICT, _MEAN = "#2e8b3d", "#c0392b", "#1f6fb2"


def plot_conflict(runs: Mapping[str, str | Path], path: str | Path, window: int = 15) -> Path:
    """Draws every measurement of each run as a point, red where the tasks conflict, and their moving mean.

    Args:
        runs: run folders by the names to show; those without a log are left out. A training may still be going on.
        path: the picture to write; its suffix says the format (.png, .svg, .pdf).
        window: measurements in the moving mean.

    Returns:
        The path.

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
    figure = Figure(figsize=(9, 0.6 + 2.8 * len(logs)), layout="constrained")
    FigureCanvasAgg(figure)
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
