"""The demo's report: one self-contained page with the figures of every stage and the picture of what was heard."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path
from typing import Any

from keras_mtl.core import Column, Html, Table
from keras_mtl.firmware_host.report import Report
from keras_mtl.firmware_host.views import mark

_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 64rem; margin: 2rem auto; padding: 0 1rem; color: #1d2733; }
table { border-collapse: collapse; margin: .5rem 0 2rem; font-size: 14px; }
th, td { text-align: left; padding: .3rem .8rem; border-bottom: 1px solid #dde3ea; }
.passed { color: #11703a; font-weight: 600; } .failed { color: #b3261e; font-weight: 600; }
img { max-width: 100%; }
"""


def demo_page(document: dict[str, Any], reports: dict[str, dict[str, Report]], picture: Path) -> str:
    """The page.

    Args:
        document: what `run_demo` returns.
        reports: by format and target.
        picture: the file of the timeline.
    """
    metrics = document["run"]["metrics"]
    encoded = base64.b64encode(picture.read_bytes()).decode()
    body = [
        "<h1>keras_mtl demo</h1>",
        "<h2>What the network hears</h2>",
        f'<img alt="log-mel, event probabilities and events of one clip" src="data:image/png;base64,{encoded}">',
        "<h2>Figures on the evaluation split</h2>",
        _table(("", "float", *document["quantized"]), _figures(metrics, document["quantized"])),
        "<h2>Artifacts held against their targets</h2>",
        _table(
            ("format", "target", "verdict", "parameter bytes", "arena bytes", "parity in LSB", "why"), _rows(reports)
        ),
        "<h2>Seconds of each stage</h2>",
        _table(document["seconds"], [[f"{seconds:.0f}" for seconds in document["seconds"].values()]]),
    ]
    head = f'<meta charset="utf-8"><title>keras_mtl demo</title><style>{_STYLE}</style>'
    return f'<!doctype html>\n<html lang="en"><head>{head}</head><body>\n{"".join(body)}\n</body></html>\n'


def _figures(metrics: dict[str, Any], quantized: dict[str, Any]) -> Iterable[Sequence[str]]:
    rows = [("scene accuracy", "scenes", "accuracy"), ("scene log loss", "scenes", "log_loss")]
    rows += [("event F1", "events", "event_f1_macro"), ("PSDS1", "events", "psds1"), ("PSDS2", "events", "psds2")]
    for title, task, key in rows:
        sources = [metrics, *(entry["metrics"] for entry in quantized.values())]
        yield [title, *(f"{source[task][key]:.3f}" if task in source else "" for source in sources)]


def _rows(reports: dict[str, dict[str, Report]]) -> Iterable[Sequence[str]]:
    for kind, by_target in reports.items():
        for target, report in by_target.items():
            checks = [report.check(name) for name in ("parameter_bytes", "arena_bytes", "parity_lsb")]
            values = ["" if c is None or c.value is None else f"{c.value:,}" for c in checks]
            link = Html(f'<a href="reports/scenes.{escape(kind)}.html">{escape(kind)}</a>')
            yield [link, target, mark(report.passed, report.verdict), *values, report.failures()]


def _table(columns: Iterable[str], rows: Iterable[Sequence[str]]) -> str:
    return Table([Column(title, place) for place, title in enumerate(columns)], list(rows)).html()
