"""Draws the systems: parameters against MACs, with the limits of the scene task as lines."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from matplotlib.figure import Figure

from keras_mtl.cost.network import SystemRow
from keras_mtl.plots import save

_COLOURS = {("scenes",): "#1f6fb2", ("events",): "#c1541b", ("scenes", "events"): "#2e8b3d"}
_NAMES = {("scenes",): "scenes (ASC)", ("events",): "events (SED)", ("scenes", "events"): "both tasks"}

#: Where a label goes (alignment, shift in points) that would lie on another's.
_LABELS = {
    "baseline_asc": ("right", (-6, 7)),
    "cnn": ("right", (-4, -16)),
    "crnn": ("left", (8, -3)),
    "mt": ("right", (-9, -3)),
}


def plot_systems(
    rows: Sequence[SystemRow], path: str | Path, parameter_bytes_limit: int, macs_per_second_limit: int
) -> Path:
    """Draws every system as a point, filled where it fits the limits, with a ring where the paper puts it.

    Args:
        rows: the counted systems.
        path: the picture to write; its suffix says the format (.png, .svg, .pdf).
        parameter_bytes_limit: bytes of parameters; drawn at two bytes each.
        macs_per_second_limit: MACs for a second of audio.
    """
    figure = Figure(figsize=(8.5, 5.2), layout="constrained")
    axis = figure.subplots()
    axis.set_xscale("log")
    axis.set_yscale("log")
    most = parameter_bytes_limit / 2
    axis.axvline(most, color="0.45", linestyle="--", linewidth=1)
    axis.axhline(macs_per_second_limit / 1e6, color="0.45", linestyle="--", linewidth=1)
    axis.fill_between([1e4, most], 1.0, macs_per_second_limit / 1e6, color="#1f6fb2", alpha=0.07, linewidth=0)
    for tasks, name in _NAMES.items():
        group = [row for row in rows if row.system.tasks == tasks]
        found = [row.params for row in group], [row.macs_per_second / 1e6 for row in group]
        printed = [row.system.paper_params for row in group], [_paper_m(row) for row in group]
        axis.scatter(*printed, s=130, facecolors="none", edgecolors=_COLOURS[tasks], linewidths=0.8, alpha=0.6)
        axis.scatter(*found, s=38, color=_COLOURS[tasks], label=name, zorder=3)
        for row, x, y in zip(group, *found, strict=True):
            side, offset = _LABELS.get(row.system.id, ("left", (7, 7)))
            axis.annotate(row.system.id, (x, y), xytext=offset, textcoords="offset points", ha=side)
    axis.set_xlim(1.4e4, 3e7)
    axis.set_ylim(12, 2e3)
    axis.text(most * 1.04, 1.5e3, f"{parameter_bytes_limit:,} B at 16 bit", fontsize=8, color="0.35")
    axis.text(2.2e7, macs_per_second_limit / 1.13e6, f"{macs_per_second_limit / 1e6:g} M", fontsize=8, color="0.35")
    axis.set_xlabel("trainable parameters")
    axis.set_ylabel("M MACs for a second of audio")
    axis.set_title(
        "points: counted from the networks; rings: printed in the paper; shaded: limits for scenes", fontsize=9
    )
    axis.legend(loc="lower right", frameon=False)
    axis.grid(alpha=0.15)
    return save(figure, path)


def _paper_m(row: SystemRow) -> float:
    # The paper counts fdy_lka over the whole clip: a ring beside its point would only puzzle.
    per_clip = row.system.paper_macs_per_second > 1e9
    return row.system.paper_macs_per_second / 1e6 / (row.system.audio_seconds if per_clip else 1)
