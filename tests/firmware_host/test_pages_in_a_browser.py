"""HTML pages in a real browser: nothing complains, nothing is asked for, tables sort, dark colours and print work."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
from matplotlib.figure import Figure

from keras_mtl.core import Column, Table, page
from keras_mtl.decoding import DecodeSettings
from keras_mtl.demo.page import demo_page
from keras_mtl.experiments import compare, comparison_html
from keras_mtl.firmware_host.emulate import emulate
from keras_mtl.firmware_host.targets import load_target
from keras_mtl.firmware_host.views import report_html
from keras_mtl.tuning import curves, page_html, tune

sys.path.insert(0, str(Path(__file__).parents[2] / "scripts"))
sys.path.insert(0, str(Path(__file__).parents[1] / "keras_mtl"))
import test_comparison
from browser import Browser, program
from test_tuning import made_tracks

pytestmark = pytest.mark.skipif(program() is None, reason="needs Chromium: apt-get install chromium")

PHONE, DESK = 390, 1280
#: The luminance of a colour "rgb(r, g, b)", and the contrast of an element's text with its page (WCAG 2).
_CONTRAST = """
(() => {
  const luminance = colour => {
    const parts = colour.match(/[\\d.]+/g).slice(0, 3).map(each => each / 255);
    const linear = parts.map(each => each <= 0.04045 ? each / 12.92 : ((each + 0.055) / 1.055) ** 2.4);
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2];
  };
  const back = luminance(getComputedStyle(document.body).backgroundColor);
  return Math.min(...[...document.querySelectorAll("h1, h2, p, th, td, dd, .passed, .failed, a")].map(each => {
    const ink = luminance(getComputedStyle(each).color);
    return (Math.max(ink, back) + 0.05) / (Math.min(ink, back) + 0.05);
  }));
})()
"""


#: Makes a run folder.
run_of = test_comparison.made


@pytest.fixture(scope="module")
def browser():
    with Browser(DESK) as found:
        yield found


@pytest.fixture(scope="module")
def report(make_artifact):
    return emulate(make_artifact("int8"), load_target("stm32h743"), engines=["tflm"])


def _emulator(report, run_of):
    return report_html([report])


def _tuning(report, run_of):
    tracks = made_tracks(20)
    found = tune(tracks, DecodeSettings())
    return page_html(found, curves(found, tracks), "runs/mine", ["on made clips"])


def _comparison(report, run_of):
    figures = [test_comparison.scenes(score) | test_comparison.events(score / 2) for _, score in _RUNS]
    runs = [
        run_of(name, each, f"seed={seed}") for seed, ((name, _), each) in enumerate(zip(_RUNS, figures, strict=True))
    ]
    return comparison_html(compare(runs))


def _demo(report, run_of):
    drawn = io.BytesIO()
    Figure().savefig(drawn, format="png")
    metrics = {"scenes": {"accuracy": 0.5, "log_loss": 1.0}}
    document = {
        "heard": {"scenes": [{"onset_s": 0.0, "offset_s": 1.0, "label": "bus", "score": 0.5}], "events": []},
        "run": {"metrics": metrics},
        "quantized": {"int8": {"metrics": metrics}},
        "seconds": {"train": 10.0, "listen": 1.0},
    }
    return demo_page(document, {"int8": {"stm32h743": report}}, {"stm32h743": report}, drawn.getvalue())


_RUNS = (("nine", 0.9), ("ten", 0.1), ("half", 0.5))


@pytest.mark.parametrize("make", [_emulator, _tuning, _comparison, _demo], ids=lambda make: make.__name__[1:])
def test_a_page_is_good_to_use(make, browser, report, run_of, tmp_path):
    path = tmp_path / "page.html"
    path.write_text(make(report, run_of))
    browser.open(path)
    assert (browser.complaints, browser.requests) == ([], [])
    colours = {}
    for scheme in ("light", "dark"):
        browser.media(scheme=scheme)
        colours[scheme] = browser.value("getComputedStyle(document.body).backgroundColor")
        assert browser.value(_CONTRAST) >= 4.5, scheme
    assert colours["light"] != colours["dark"]
    browser.media("print")
    assert browser.value("getComputedStyle(document.querySelector('main')).maxWidth") == "none"
    assert browser.printed().startswith(b"%PDF")
    browser.media()
    for width in (DESK, PHONE):
        browser.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=800, deviceScaleFactor=1, mobile=width == PHONE
        )
        assert browser.value("document.documentElement.scrollWidth <= innerWidth"), width
    browser.call("Emulation.clearDeviceMetricsOverride")


def test_a_click_sorts_a_table(browser, tmp_path):
    rows = [["b", 10.0, "x"], ["a", 2.5, "y"], ["c", None, "z"], ["d", 1_200.0, "w"]]
    table = Table([Column("name", 0), Column("value", 1, ",.1f"), Column("", 2)], rows)
    (tmp_path / "page.html").write_text(page("sorted", table.html()))
    browser.open(tmp_path / "page.html")

    def after(head: int) -> str:
        browser.value(f"document.querySelectorAll('th')[{head}].click()")
        return str(
            browser.value("[...document.querySelectorAll('tbody tr')].map(row => row.cells[0].textContent).join('')")
        )

    assert [after(0), after(0)] == ["abcd", "dcba"]
    assert [after(1), after(1)] == ["abdc", "cdba"]
    assert browser.value("document.querySelectorAll('th')[1].getAttribute('aria-sort')") == "descending"
    assert browser.complaints == []


def test_a_browser_tells_of_what_a_page_must_not_do(tmp_path):
    """So that the tests above can fail."""
    soundfile.write(tmp_path / "sound.wav", np.zeros(8), 8_000)
    text = page("bad", "<p>x</p>").replace(
        "</body>", '<img src="sound.wav"><script>console.error("no")</script></body>'
    )
    (tmp_path / "page.html").write_text(text)
    with Browser() as browser:
        browser.open(tmp_path / "page.html")
        assert len(browser.complaints) == 2  # the policy refuses both
        (tmp_path / "page.html").write_text('<script>throw new Error("no")</script><img src="sound.wav">')
        browser.open(tmp_path / "page.html")
        assert any("Uncaught" in each for each in browser.complaints)
        assert {Path(each).name for each in browser.requests} == {"sound.wav"}
