"""The report's page: one well-formed file that needs nothing else, and drawings that show what the report holds."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from keras_mtl.firmware_host.arena import arena_of_members
from keras_mtl.firmware_host.emulate import emulate
from keras_mtl.firmware_host.report import Report
from keras_mtl.firmware_host.targets import load_target
from keras_mtl.firmware_host.views import report_html
from keras_mtl.firmware_host.views.html_parts import short_number, ticks
from keras_mtl.firmware_host.views.text import layer_of, short_name
from keras_mtl.tflite.artifact import Member

_VOID = {"meta", "br"}


class _Page(HTMLParser):
    """Reads a page and checks that every element is closed in its place."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.feed(page)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in _VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append(data)

    def of_class(self, *names):
        return [attrs for _, attrs in self.elements if set(names) <= set((attrs.get("class") or "").split())]


@pytest.fixture(scope="module")
def report(make_artifact):
    """A report of the small network for a board."""
    return emulate(make_artifact("int8"), load_target("stm32h743"))


@pytest.fixture(scope="module")
def full(report):
    """The same with an estimate of every shape, findings and a first difference."""
    compute = {
        "core": "cortex-m4",
        "kernels": "cmsis-nn",
        "dtype": "int8",
        "instructions_per_mac": [6.3, 7.4],
        "instructions_per_second": [12_000, 17_000],
        "clock_hz": 64_000_000,
        "load": [0.0002, 0.0003],
        "basis": "measured <elsewhere>",
        "measured": False,
        "parts": [{"op": "CONV_2D", "macs_per_second": 1728, "instructions_per_second": [12_000, 17_000]}],
    }
    finding = {"op": "TANH", "version": 1, "layer": "net/t/Tanh", "where": "x", "severity": "blocks", "why": "no"}
    first = {"engine": "litert", "against": "tflm", "input": 3, "operator": 1, "op": "MAX_POOL_2D"}
    first |= {"layer": "net/pooled/Max", "lsb": 7.0, "inputs_lsb": 0.0}
    parity = report.parity | {"largest_lsb": 7.0, "first_difference": first}
    return replace(report, compute=compute, compatibility=(finding | {"try": "this"},), parity=parity)


def test_page_is_well_formed_and_needs_nothing_else(full):
    page = report_html([full])
    read = _Page(page)
    tags = {tag for tag, _ in read.elements}
    assert [tag for tag, _ in read.elements].count("script") == 1  # that sorts tables
    assert not tags & {"link", "img", "iframe", "a", "object", "use", "image"}
    assert not any({"src", "href", "xlink:href", "onload"} & set(attrs) for _, attrs in read.elements)
    assert "://" not in page
    assert "url(" not in page
    policy = next(attrs for _, attrs in read.elements if attrs.get("http-equiv"))
    assert re.fullmatch(
        r"default-src 'none'; style-src 'unsafe-inline'; img-src data:; script-src 'sha256-[\w+/=]+'", policy["content"]
    )
    assert "prefers-color-scheme: dark" in page
    assert "@media print" in page
    assert report_html([full]) == page


def test_every_tensor_is_drawn_where_it_lies(report):
    read = _Page(report_html([report]))
    drawn, tensors = read.of_class("tensor"), report.arena["tensors"]
    assert len(drawn) == len(tensors) == 4
    heights = sorted(float(attrs["height"]) for attrs in drawn)
    sizes = sorted(tensor["bytes"] for tensor in tensors)
    assert heights[-1] / heights[0] == pytest.approx(sizes[-1] / sizes[0], rel=0.02)
    shapes = [tuple(float(attrs[key]) for key in ("x", "y", "width", "height")) for attrs in drawn]
    for i, (x, y, width, height) in enumerate(shapes):
        for left, top, other_width, other_height in shapes[:i]:
            apart = x + width <= left + 1 or left + other_width <= x + 1
            assert apart or y + height <= top + 0.3 or top + other_height <= y + 0.3
    alive = read.of_class("alive")
    assert [float(a["height"]) for a in alive] == pytest.approx(
        [90 * size / max(report.arena["timeline"]) for size in report.arena["timeline"]], abs=0.1
    )
    assert len(read.of_class("alive", "most")) == len(read.of_class("frame")) == 1


def test_titles_tell_what_a_shape_stands_for(full):
    words = "".join(_Page(report_html([full])).texts)
    assert "maps: 192 bytes at 0, operators 0 to 1 (CONV_2D)" in words
    assert "1 MAX_POOL_2D pooled: 240 bytes alive" in words
    assert "0 maps: 1,728 MACs of one inference" in words
    assert "output values differ by 0 LSB" in words
    assert "12,000 to 17,000 instructions for a second of audio, 1,728 MACs" in words


def test_an_estimate_is_called_one_and_is_never_a_single_figure(full, report):
    words = " ".join(_Page(report_html([full])).texts)
    assert "An estimate, not a measured latency: 0.012 to 0.017 M instructions" in words
    assert "measured <elsewhere>" in words
    assert "Compute estimate" not in report_html([replace(report, compute=None)])


def test_first_difference_and_findings_are_told(full):
    words = " ".join(_Page(report_html([full])).texts)
    assert "MAX_POOL_2D, operator 1: pooled/Max" in words
    assert "its inputs differ by 0.0 LSB, its output by 7.0" in words
    assert "t/Tanh" in words
    why = full.parity | {"first_difference": {"engine": "a", "against": "b", "why": "not named: it died"}}
    assert "not named: it died" in report_html([replace(full, parity=why)])


def test_each_member_has_a_map(report, models, make_artifact):
    arena = arena_of_members(
        {"encoder": Member.of(models["int8"]), "head": Member.of(models["int16x8"])}, {"encoder": 2000}
    )
    rows = tuple(replace(row, name=f"encoder/{row.name}") for row in report.ops)
    of_set = replace(report, arena=arena, ops=rows, artifact=report.artifact | {"members": {}, "audio_seconds": 10.0})
    parity = report.parity | {"events": report.parity}
    read = _Page(report_html([replace(of_set, parity=parity, artifact=of_set.artifact | {"members": {"encoder": {}}})]))
    assert len(read.of_class("tensor")) == 8
    words = "".join(read.texts)
    assert f"encoder: {arena['members']['encoder']['planned_bytes']:,} bytes" in words
    assert "0 encoder: maps" in words
    assert "Probabilities of events" in words


def test_reports_without_the_newer_parts_are_shown(report, tmp_path):
    document = json.loads(report.to_json())
    for key in ("arena", "parity", "compute", "compatibility"):
        del document[key]
    (tmp_path / "old.json").write_text(json.dumps(document))
    read = _Page(report_html([Report.load(tmp_path / "old.json")]))
    assert "Arena" not in [text.strip() for text in read.texts]
    assert len(read.of_class("macs")) == 2


def test_a_report_read_back_gives_the_same_page(report, tmp_path):
    assert report_html([Report.load(report.save(tmp_path / "report.json"))]) == report_html([report])


def test_names_that_look_like_markup_stay_text(full):
    evil = '<script>alert("1")</script>'
    arena = json.loads(json.dumps(full.arena).replace("maps", "<b>&maps"))
    arena["operators"][0]["name"] = evil
    rows = (replace(full.ops[0], name=evil), *full.ops[1:])
    read = _Page(report_html([replace(full, arena=arena, ops=rows, notes=(evil,))]))
    tags = [tag for tag, _ in read.elements]
    assert (tags.count("script"), tags.count("b")) == (1, 0)
    assert evil in read.texts


def test_short_names():
    fused = "net_1/conv_1_1/Relu;net_1/conv_1_1/BiasAdd"
    assert (short_name(fused), layer_of(fused)) == ("conv_1_1/Relu", "conv_1_1")
    assert (short_name("scene_logits"), short_name("Identity:0"), short_name("")) == ("scene_logits", "Identity", "")


def test_axes_have_round_values():
    assert ticks(128_000) == [0, 50_000, 100_000]
    assert ticks(7) == [0, 2, 4, 6]
    assert (ticks(0), ticks(float("nan"))) == ([0.0], [0.0])
    assert [short_number(v) for v in (0, 950, 1_500_000, 28_897_840)] == ["0", "950", "1.5M", "28.9M"]
