"""Draws what each layer costs when it alone is quantized: horizontal bars, the input at the top."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from keras_mtl.plots import save

_WHOLE = "#1f6fb2"
_ACTIVATIONS = "#c1541b"
_EMBEDDINGS = "#2e8b3d"
_ROW_INCHES = 0.3


def plot_sensitivity(document: dict[str, Any], path: str | Path) -> Path:
    """Draws a document of `keras_mtl.sensitivity/1`.

    Args:
        document: what was measured.
        path: the picture to write; its suffix is the format (.png, .svg, .pdf).
    """
    rows = document["layers"]
    figure = Figure(figsize=(10, 1.6 + _ROW_INCHES * len(rows)), layout="constrained")
    ratio, change = figure.subplots(1, 2, sharey=True, width_ratios=[2, 1])
    _draw_ratios(ratio, rows, document["all_layers"])
    places = range(len(rows))
    every = document["all_layers"]
    if every["accuracy_change"] is None:
        figures, together = [1 - row["agreement"] for row in rows], 1 - every["agreement"]
        what = "decisions that change in %"
    else:
        figures, together = [row["accuracy_change"] for row in rows], every["accuracy_change"]
        what = "change of accuracy in points"
    change.barh(places, [100 * value for value in figures], color=_WHOLE, height=0.6)
    change.axvline(100 * together, color="0.3", linestyle="--", linewidth=1)
    change.axvline(0, color="0.6", linewidth=0.8)
    change.set_xlabel(f"{what} ({document['clips']:,} clips)")
    change.grid(axis="x", alpha=0.15)
    ratio.set_yticks(places, [row["name"] for row in rows], fontsize=8)
    ratio.invert_yaxis()
    figure.suptitle(f"{document['scheme']}: each layer rounding alone", fontsize=10)
    return save(figure, path)


def _draw_ratios(axis: Any, rows: list[dict[str, Any]], every: dict[str, Any]) -> None:
    drawn = (
        ("output_snr_db", 0.6, _WHOLE, "weights and activations"),
        ("activations_output_snr_db", 0.2, _ACTIVATIONS, "activations alone"),
    )
    for key, height, colour, label in drawn:
        having = [(place, row[key]) for place, row in enumerate(rows) if row[key] is not None]
        if having:
            places, values = zip(*having, strict=True)
            axis.barh(places, values, color=colour, height=height, label=label)
    having = [(row["embeddings_snr_db"], place) for place, row in enumerate(rows) if row["embeddings_snr_db"]]
    if having:
        axis.plot(*zip(*having, strict=True), "D", color=_EMBEDDINGS, markersize=4, label="at the embeddings")
    if every["output_snr_db"] is not None:
        axis.axvline(every["output_snr_db"], color="0.3", linestyle="--", linewidth=1, label="all together")
    axis.set_xlabel("signal to noise at the output in dB (short bars cost most)")
    axis.grid(axis="x", alpha=0.15)
    axis.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=4, fontsize=7, frameon=False)
