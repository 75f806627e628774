"""A report as one self-contained HTML page: no scripts, no references to anything outside it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

from keras_mtl.firmware_host.report import Report
from keras_mtl.firmware_host.text import operator_name

_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 72rem; margin: 2rem auto; padding: 0 1rem; color: #1d2733; }
table { border-collapse: collapse; width: 100%; margin: .5rem 0 2rem; font-size: 14px; }
th, td { text-align: left; padding: .3rem .6rem; border-bottom: 1px solid #dde3ea; vertical-align: top; }
td.number, th.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
.passed { color: #11703a; font-weight: 600; } .failed { color: #b3261e; font-weight: 600; }
.bar { display: inline-block; height: .7em; background: #4a7fb5; }
code { font-size: 12px; overflow-wrap: anywhere; }
"""


def report_html(reports: Sequence[Report]) -> str:
    """The page: of each report its verdict, checks, engines, and the operators with their share of the MACs as bars."""
    title = "keras_mtl emulate: " + ", ".join(_title(report) for report in reports)
    head = f'<meta charset="utf-8"><title>{escape(title)}</title><style>{_STYLE}</style>'
    body = "\n".join(_section(report) for report in reports)
    return f'<!doctype html>\n<html lang="en"><head>{head}</head><body>\n{body}\n</body></html>\n'


def _title(report: Report) -> str:
    return f"{report.artifact['part']} {report.artifact['format'] or ''} on {report.target['name']}"


def _section(report: Report) -> str:
    artifact, target = report.artifact, report.target
    total = artifact["macs"] or 0
    checks = (
        (
            c.name,
            _number(c.value),
            _number(c.limit),
            c.unit,
            _mark(c.ok, "ok" if c.ok else "failed"),
            escape(c.why),
        )
        for c in report.checks
    )
    engines = (
        (
            e.engine,
            escape(e.version),
            _number(e.arena_bytes),
            _number(e.from_base_lsb),
            "ran" if e.ran else _mark(False, escape(e.reason)),
        )
        for e in report.engines
    )
    ops = (
        (
            str(row.index),
            escape(operator_name(row)),
            escape(row.name),
            escape(", ".join(row.input_dtypes)),
            escape("x".join(map(str, row.output_shape))),
            _number(row.macs),
            _number(row.weight_bytes),
            _number(row.activation_bytes),
            f'<span class="bar" style="width:{100 * (row.macs or 0) / total if total else 0:.1f}px"></span>',
        )
        for row in report.ops
    )
    body = [
        f"<h1>{escape(_title(report))}</h1>",
        f"<p>{escape(str(target.get('description', '')))}. Verdict: {_mark(report.passed, report.verdict)}.</p>",
        f"<p><code>{escape(str(artifact['path']))} sha256 {escape(str(artifact['sha256']))}</code></p>",
        "<h2>Checks</h2>",
        _table(("check", "#value", "#limit", "unit", "", "why"), checks),
        "<h2>Engines</h2>",
        _table(("engine", "version", "#arena bytes", "#LSB from base", ""), engines),
        "<h2>Operators</h2>",
        _table(
            ("#", "operator", "output", "inputs", "shape", "#MACs", "#weight bytes", "#activation bytes", "share"), ops
        ),
    ]
    return "\n".join(body)


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:,}"


def _mark(ok: bool, text: str) -> str:
    return f'<span class="{"passed" if ok else "failed"}">{text}</span>'


def _table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table of cells that are HTML already; a column whose name begins with "#" and more holds numbers."""
    kinds = [' class="number"' if len(column) > 1 and column.startswith("#") else "" for column in columns]
    titles = (column.lstrip("#") or "#" for column in columns)
    head = "".join(f"<th{kind}>{escape(title)}</th>" for kind, title in zip(kinds, titles, strict=True))
    body = "\n".join(
        "<tr>" + "".join(f"<td{kind}>{cell}</td>" for kind, cell in zip(kinds, row, strict=True)) + "</tr>"
        for row in rows
    )
    return f"<table><thead><tr>{head}</tr></thead><tbody>\n{body}\n</tbody></table>"
