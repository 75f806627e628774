"""A report as one self-contained HTML page: no scripts, no references to anything outside it."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from keras_mtl.core import Column, Html, Table
from keras_mtl.firmware_host.report import Check, Report
from keras_mtl.firmware_host.views.html_arena import arena_section
from keras_mtl.firmware_host.views.html_compute import compatibility_section, compute_section
from keras_mtl.firmware_host.views.html_layers import layers_section
from keras_mtl.firmware_host.views.html_parity import parity_section
from keras_mtl.firmware_host.views.html_style import STYLE
from keras_mtl.firmware_host.views.html_tables import definitions, mark, number, span
from keras_mtl.firmware_host.views.memory_table import latency_line, memory_table

#: The page may load nothing, and a browser holds it to that.
_POLICY = "default-src 'none'; style-src 'unsafe-inline'"
_CHECKS = (
    Column("check", "name"),
    Column("", lambda check: mark(check.ok, "ok" if check.ok else "failed")),
    Column("", lambda check: _meter(check)),
    Column("value", "value", ","),
    Column("limit", "limit", ","),
    Column("unit", "unit"),
    Column("why", lambda check: span("quiet", check.why)),
)
_ENGINES = (
    Column("engine", "engine"),
    Column("version", "version"),
    Column("arena bytes", "arena_bytes", ","),
    Column("LSB from base", "from_base_lsb", ","),
    Column("", lambda engine: "ran" if engine.ran else mark(False, engine.reason)),
)


def report_html(reports: Sequence[Report]) -> str:
    """The page: of each report its verdict and checks, then plots of arena, layers, compute and parity.

    Args:
        reports: at least one; the page shows them one after the other.
    """
    title = "keras_mtl emulate: " + ", ".join(_title(report) for report in reports)
    head = (
        '<meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
        '<meta name="color-scheme" content="light dark">'
        f"<title>{escape(title)}</title><style>{STYLE}</style>"
    )
    body = "\n".join(f"<main>\n{_section(report)}\n</main>" for report in reports)
    return f'<!doctype html>\n<html lang="en"><head>{head}</head><body>\n{body}\n</body></html>\n'


def _title(report: Report) -> str:
    return f"{report.artifact['part']} {report.artifact['format'] or ''} on {report.target['name']}"


def _section(report: Report) -> str:
    artifact = report.artifact
    facts = [
        ("artifact", str(artifact["path"]) or "-"),
        ("sha256", str(artifact["sha256"])),
        ("target", f"{report.target['name']}: {report.target.get('description', '')}"),
        ("file", f"{number(artifact.get('file_bytes'))} bytes"),
        ("work", f"{number(artifact.get('macs_per_second'))} MACs for a second of audio"),
    ]
    parts = [
        f"<h1>{escape(_title(report))} {mark(report.passed, report.verdict)}</h1>",
        definitions(facts),
        "<h2>Checks</h2>",
        Table(_CHECKS, report.checks).html("cards"),
        "".join(f'<p class="note">{escape(note)}</p>' for note in report.notes),
        _memory(report),
        arena_section(report.arena),
        layers_section(report),
        compute_section(report.compute),
        compatibility_section(report.compatibility),
        parity_section(report.parity),
        "<h2>Engines</h2>",
        Table(_ENGINES, report.engines).html(),
    ]
    return "\n".join(filter(None, parts))


def _memory(report: Report) -> str:
    """The memory of a streaming set; nothing for another artifact."""
    if "memory" not in report.artifact:
        return ""
    shown = memory_table(report.artifact).html()
    return f"<h2>Memory</h2>\n{shown}\n<p>Latency {escape(latency_line(report.artifact))}</p>"


def _meter(check: Check) -> str:
    """How much of the limit is taken, as a bar; nothing where the limit is 0 or the value unknown."""
    if check.value is None or not check.limit:
        return ""
    share = max(0.0, check.value / check.limit)
    kind = "full" if share > 1 else "part"
    return Html(
        f'<span class="meter" title="{share:.1%} of the limit">'
        f'<i class="{kind}" style="width:{100 * min(share, 1):.1f}%"></i></span>'
    )
