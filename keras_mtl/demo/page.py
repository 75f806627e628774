"""The demo's page: what was heard, on which boards it runs and why not, and the figures of every format."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any

from keras_mtl.core import Column, Html, Table, page, picture
from keras_mtl.firmware_host.report import Report
from keras_mtl.firmware_host.views import mark, percent

_FIGURES = (
    ("scene accuracy", "scenes", "accuracy"),
    ("scene log loss", "scenes", "log_loss"),
    ("event F1", "events", "event_f1_macro"),
    ("PSDS1", "events", "psds1"),
    ("PSDS2", "events", "psds2"),
)
_REMEDIES = 3


def demo_page(
    document: dict[str, Any], reports: Mapping[str, Mapping[str, Report]], boards: Mapping[str, Report], timeline: bytes
) -> str:
    """The page.

    Args:
        document: of the demo, all but the page itself.
        reports: of the scene files, by format and target.
        boards: of the streaming artifact, by board.
        timeline: the picture, a PNG.
    """
    quantized = {f"{name}, both tasks" if name == "joint" else name: of for name, of in document["quantized"].items()}
    parts = [
        "<h1>keras_mtl demo</h1>",
        "<p>One network for two tasks was trained, quantized and converted, and its streaming int8 artifact heard a "
        "clip on TensorFlow Lite Micro, block by block, as a device would.</p>",
        "<h2>What it heard</h2>",
        picture(timeline, "log-mel of one clip, event probabilities, and true, float and int8 events"),
        _table(("from", "to", "what", "score"), _heard(document["heard"])),
        "<h2>The streaming artifact of both tasks on three boards</h2>",
        _table(("board", "verdict", "of the core", "RAM in bytes", "why", "what would help"), _boards(boards)),
        _firmware(document),
        "<h2>Figures on the evaluation split</h2>",
        _table(("", "float", *quantized), _figures(document["run"]["metrics"], quantized)),
        "<h2>The scene files held against their targets</h2>",
        _table(
            ("format", "target", "verdict", "parameter bytes", "arena bytes", "parity in LSB", "why"), _rows(reports)
        ),
        "<h2>Seconds of each stage</h2>",
        _table(document["seconds"], [[f"{seconds:.0f}" for seconds in document["seconds"].values()]]),
    ]
    return page("keras_mtl demo", "\n".join(parts))


def _heard(heard: dict[str, Any]) -> Iterable[Sequence[str]]:
    found = [("scene", row) for row in heard["scenes"] or ()] + [("event", row) for row in heard["events"] or ()]
    for kind, row in sorted(found, key=lambda each: each[1]["onset_s"]):
        times = (f"{row[end]:.2f} s" for end in ("onset_s", "offset_s"))
        yield [*times, f"{kind} {row['label']}", f"{row['score']:.2f}"]


def _boards(boards: Mapping[str, Report]) -> Iterable[Sequence[str]]:
    for board, report in boards.items():
        link = Html(f'<a href="reports/joint.int8.html">{escape(board)}</a>')
        checks = {check.name: check for check in report.checks}
        ram = checks.get("arena_bytes")
        bytes_ = f"{ram.value:,} of {ram.limit:,}" if ram and ram.value is not None else ""
        share = percent(report.compute["load"]) if report.compute and report.compute.get("load") else ""
        helping = [each for each in report.remedies if each["fits"] != "no"][:_REMEDIES]
        helps = "; ".join(f"{each['change']} ({percent(each['load'])})" for each in helping)
        yield [link, mark(report.passed, report.verdict), share, bytes_, report.failures(), helps]


def _firmware(document: dict[str, Any]) -> str:
    if "firmware" not in document:
        return "<p>No board holds it, so that no firmware folder was written.</p>"
    return f"<p>The folder to flash: <code>{escape(document['firmware'])}</code></p>"


def _figures(metrics: dict[str, Any], quantized: dict[str, Any]) -> Iterable[Sequence[str]]:
    for title, task, key in _FIGURES:
        sources = [metrics, *(entry["metrics"] for entry in quantized.values())]
        yield [title, *(f"{source[task][key]:.3f}" if task in source else "" for source in sources)]


def _rows(reports: Mapping[str, Mapping[str, Report]]) -> Iterable[Sequence[str]]:
    for kind, by_target in reports.items():
        for target, report in by_target.items():
            checks = [report.check(name) for name in ("parameter_bytes", "arena_bytes", "parity_lsb")]
            values = ["" if c is None or c.value is None else f"{c.value:,}" for c in checks]
            link = Html(f'<a href="reports/scenes.{escape(kind)}.html">{escape(kind)}</a>')
            yield [link, target, mark(report.passed, report.verdict), *values, report.failures()]


def _table(columns: Iterable[str], rows: Iterable[Sequence[str]]) -> str:
    return Table([Column(title, place) for place, title in enumerate(columns)], list(rows)).html()
