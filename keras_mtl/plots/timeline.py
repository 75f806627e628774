"""Pictures: a recording's prediction, against the truth where it is known."""

from __future__ import annotations

import io
import logging
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib import font_manager, ft2font
from matplotlib.figure import Figure
from matplotlib.text import Text

from keras_mtl.core import files
from keras_mtl.decoding import Event
from keras_mtl.inference import Prediction

_PREDICTED = "#1f6fb2"
_TRUE = "#2e8b3d"
_OTHERS = ("#c2751a", "#7d60ac")
_log = logging.getLogger("keras_mtl")


def plot_timeline(
    prediction: Prediction,
    path: str | Path,
    truth: Sequence[Event] | None = None,
    name: str = "predicted",
    others: Mapping[str, Sequence[Event]] | None = None,
) -> Path:
    """Draws log-mel, event probabilities where there are any, and decoded events on one time axis.

    Args:
        prediction: what is drawn.
        path: the picture to write; its suffix says the format (.png, .svg, .pdf).
        truth: the true events, drawn above the decoded ones.
        name: of the decoded events.
        others: further events by their name, drawn below, at most two of them.

    Raises:
        ValueError: the prediction was made with `picture=False`.
    """
    if prediction.log_mel is None:
        raise ValueError("this prediction was made without a picture")
    # Heights of the panels that there are: log-mel, probabilities, events; more for more than ten names.
    more = max(1.0, len(prediction.classes) / 10)
    heights = [2] + [2 * more] * (prediction.probabilities is not None) + [3 * more] * ("events" in prediction.tasks)
    figure = Figure(figsize=(10, 1.16 + 0.72 * sum(heights)), layout="constrained")
    axes = figure.subplots(len(heights), 1, sharex=True, squeeze=False, height_ratios=heights)[:, 0]
    end_s = prediction.duration_s
    draw_log_mel(axes[0], prediction.log_mel, end_s)
    scene = f", scene: {prediction.scene}" if prediction.scene else ""
    axes[0].set_title(f"{prediction.path.name}{scene}", loc="left")
    if prediction.probabilities is not None:
        _draw_probabilities(axes[1], prediction)
    if "events" in prediction.tasks:
        _draw_events(axes[-1], prediction, truth, name, others or {})
    axes[-1].set_xlabel("time in s")
    return save(figure, path)


def save(figure: Figure, path: str | Path) -> Path:
    """Writes a figure whole or not at all, without a date in it. Names in it are drawn as they are.

    Letters that matplotlib's font lacks are taken from the fonts that are installed. What none of them has is a box,
    and a line in the log says so. A dollar begins no formula.
    """
    path = Path(path)
    buffer = io.BytesIO()
    suffix = path.suffix.lstrip(".") or "png"
    metadata = {"svg": {"Date": None}, "pdf": {"CreationDate": None}}.get(suffix)
    for text in figure.findobj(Text):
        if "$" in text.get_text():  # ticks of a logarithmic axis get their formulas later
            text.set_parse_math(False)
    _take_fonts(figure, path)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", r"Glyph .* missing from font")
        figure.savefig(buffer, format=suffix, dpi=110, metadata=metadata)
    return files.write_bytes(path, buffer.getvalue())


def _take_fonts(figure: Figure, path: Path) -> None:
    """Gives texts with letters that the default font lacks the installed fonts that have them."""
    known = _letters(font_manager.FontProperties())
    texts = [(text, set(map(ord, text.get_text())) - known - {ord("\n")}) for text in figure.findobj(Text)]
    lacking, families = set().union(*(letters for _, letters in texts)), []
    plain = {font.name for font in font_manager.fontManager.ttflist if (font.style, font.weight) == ("normal", 400)}
    for name in sorted(plain if lacking else ()):
        # matplotlib's font of last resort has a box for everything.
        if not name.startswith("Last Resort") and (found := lacking & _letters(font_manager.FontProperties(name))):
            lacking -= found
            families.append(name)
    for text, letters in texts:
        if letters and families:
            text.set_fontfamily([*text.get_fontfamily(), *families])
    if lacking:
        some = " ".join(map(chr, sorted(lacking)[:5]))
        _log.warning("%s: no font here has the letters %s: they are boxes; install one, as Noto", path.name, some)


def _letters(font: font_manager.FontProperties) -> set[int]:
    try:
        return set(ft2font.FT2Font(font_manager.findfont(font)).get_charmap())
    except (OSError, RuntimeError):  # a font that is gone, or that FreeType can't read
        return set()


def draw_log_mel(axis, log_mel: np.ndarray, end_s: float) -> None:  # type: ignore[no-untyped-def]
    """Draws log-mel [rows, mel_bands] that go evenly from 0 to `end_s` seconds."""
    axis.imshow(log_mel.T, origin="lower", aspect="auto", extent=(0, end_s, 0, log_mel.shape[1]), cmap="magma")
    axis.set_ylabel("mel band")


def _draw_probabilities(axis, prediction: Prediction) -> None:  # type: ignore[no-untyped-def]
    probabilities, grid = prediction.probabilities, prediction.grid
    assert probabilities is not None
    assert grid is not None
    names = prediction.classes
    axis.imshow(
        probabilities.T,
        origin="upper",
        aspect="auto",
        extent=(grid.start_s, grid.start_s + grid.step_s * grid.count, len(names) - 0.5, -0.5),
        vmin=0,
        vmax=1,
        cmap="Blues",
        interpolation="nearest",
    )
    axis.set_yticks(range(len(names)), names, fontsize=7)
    axis.set_ylabel("probability")


def _draw_events(  # type: ignore[no-untyped-def]
    axis, prediction: Prediction, truth: Sequence[Event] | None, name: str, others: Mapping[str, Sequence[Event]]
) -> None:
    names, events = prediction.classes, [event for event, _ in prediction.events]
    rows: list[tuple[str, Sequence[Event], str]] = [("true", truth, _TRUE)] if truth is not None else []
    rows.append((name, events, _PREDICTED))
    rows += [(*other, colour) for other, colour in zip(others.items(), _OTHERS, strict=False)]
    step = 0.8 / len(rows) if len(rows) > 1 else 0.6
    for place, (row, group, colour) in enumerate(rows):
        places = np.asarray([names.index(e.label) for e in group], float) + step * (place - (len(rows) - 1) / 2)
        lengths = [e.offset_s - e.onset_s for e in group]
        axis.barh(places, lengths, left=[e.onset_s for e in group], height=0.85 * step, color=colour, label=row)
    axis.set_ylim(len(names) - 0.5, -0.5)
    axis.set_xlim(0, prediction.duration_s)
    axis.set_yticks(range(len(names)), names, fontsize=7)
    axis.grid(axis="y", alpha=0.2)
    if len(rows) > 1:
        axis.legend(loc="lower left", bbox_to_anchor=(0.0, 1.0), ncols=len(rows), fontsize=7, frameon=False)
