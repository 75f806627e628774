"""Names of classes, files and runs in pictures: drawn as they are, whatever letters they hold."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure

from keras_mtl.datasets.audio import AudioFormat
from keras_mtl.decoding import Event, Grid
from keras_mtl.inference import Prediction
from keras_mtl.plots import plot_clip, plot_timeline, save
from keras_mtl.plots.clip_view import ClipView

#: Formulas, good and bad, letters that no font here has, and what layouts and legends treat in ways of their own.
NAMES = (
    "$x_1^2$",
    r"$\frac{$ and \$",
    "Straße, nass",
    "кашель",
    "咳嗽",
    "\N{DOG FACE}\N{ZERO WIDTH JOINER}\N{CAT FACE}",
    r"C:\new",
    "_hidden",
    "%s {0} <b>",
)


def is_picture(path: Path) -> bool:
    return path.read_bytes().startswith(b"\x89PNG")


def events_of(names: tuple[str, ...]) -> list[Event]:
    return [Event(0.1 * number, 0.1 * number + 0.5, name) for number, name in enumerate(names)]


@pytest.fixture
def no_more_said(capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture) -> Callable[[], bool]:
    """Whether nothing was said but that letters lack a font."""
    return lambda: capfd.readouterr().out == "" and all("no font here has the letters" in m for m in caplog.messages)


@pytest.mark.parametrize("count", [1, 9, 100])
def test_predictions_are_drawn(count: int, tmp_path: Path, no_more_said) -> None:
    names = (*NAMES, *(f"class {number}" for number in range(91)))[:count]
    log_mel, probabilities = np.zeros((100, 8), np.float32), np.full((25, count), 0.5, np.float32)
    found, grid = tuple((event, 0.9) for event in events_of(names)), Grid(0.4, 0.0, 25, 10.0)
    scenes = {names[0]: 1.0}
    prediction = Prediction(
        Path("$a$.wav"), 10.0, ("scenes", "events"), log_mel, scenes, (), probabilities, grid, found, names
    )
    assert is_picture(plot_timeline(prediction, tmp_path / "a.png", truth=events_of(names)))
    assert no_more_said()


def test_recordings_are_drawn(tmp_path: Path, no_more_said) -> None:
    known = AudioFormat(16_000, 1, 160_000)
    view = ClipView(Path("$\\frac$.wav"), known, -3.0, -20.0, np.zeros((10, 2)), np.zeros((100, 8), np.float32))
    rows = [("labels", events_of(NAMES)), ("$predicted$", events_of(NAMES[:2]))]
    assert is_picture(plot_clip(view, tmp_path / "a.png", rows, title=f", scene: {NAMES[1]}"))
    assert no_more_said()


def test_ticks_of_a_logarithmic_axis_stay_formulas(tmp_path: Path) -> None:
    figure = Figure()
    axis = figure.subplots()
    axis.loglog([1, 1000], [1, 1000])
    axis.set_title(NAMES[0])
    save(figure, tmp_path / "a.png")
    assert not axis.title.get_parse_math()
    powers = [tick.label1 for tick in axis.xaxis.get_major_ticks() if "10^" in tick.label1.get_text()]
    assert powers
    assert all(text.get_parse_math() for text in powers)


def test_letters_are_taken_from_the_fonts_that_have_them(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Of a letter that only another of matplotlib's own fonts has, and of one that no font has."""
    figures = []
    for name in ("\N{LATIN SMALL LETTER D WITH PALATAL HOOK}", "\U0010fffd"):
        figure = Figure()
        figure.text(0.1, 0.1, name)
        save(figure, tmp_path / "a.png")
        figures.append(figure)
    families = [figure.texts[0].get_fontfamily() for figure in figures]
    assert len(families[0]) == len(families[1]) + 1
    assert [message.split(": ")[1] for message in caplog.messages] == ["no font here has the letters \U0010fffd"]
