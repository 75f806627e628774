"""A report as one self-contained HTML page: no references to anything outside it."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Any

from keras_mtl.core import Column, Html, Table, page
from keras_mtl.firmware_host.report import Check, Report
from keras_mtl.firmware_host.views.html_arena import arena_section
from keras_mtl.firmware_host.views.html_layers import (
    compatibility_section,
    compute_section,
    layers_section,
    remedies_section,
)
from keras_mtl.firmware_host.views.html_parts import WIDTH, box, definitions, drawing, line, mark, number, span, text
from keras_mtl.firmware_host.views.text import check_word, compared, latency_line, memory_table, short_name

_STYLE = """
dl { display: grid; grid-template-columns: max-content 1fr; gap: .15rem 1rem; margin: .5rem 0; font-size: 14px; }
dt { color: var(--quiet); } dd { margin: 0; overflow-wrap: anywhere; }
.meter { display: inline-block; width: 6rem; height: .7rem; border-radius: .35rem; background: var(--rule);
  overflow: hidden; margin-top: .35rem; }
.meter i { display: block; height: 100%; } .meter .part { background: var(--teal); }
.meter .full { background: var(--bad); }
details { margin: .5rem 0; } summary { cursor: pointer; }
.plot { background: var(--card); border-radius: .5rem; padding: .6rem; margin: .6rem 0; }
svg { display: block; width: 100%; min-width: 42rem; height: auto; font-size: 12px; }
svg text { fill: var(--ink); } svg .quiet { fill: var(--quiet); } svg .head { font-weight: 600; }
svg .inside { fill: var(--inside); pointer-events: none; }
.axis { stroke: var(--quiet); } .grid { stroke: var(--rule); } .clock { stroke: var(--bad); stroke-dasharray: 4 3; }
.tensor { stroke: var(--card); } .input { fill: var(--teal); background: var(--teal); }
.activation { fill: var(--blue); background: var(--blue); }
.output { fill: var(--violet); background: var(--violet); }
.scratch { fill: var(--amber); background: var(--amber); }
.peak { fill: var(--peak); } .frame { fill: none; stroke: var(--amber); stroke-width: 1.5; pointer-events: none; }
.at-peak { background: var(--peak); border: 1.5px solid var(--amber); }
.alive { fill: var(--pale); } .most { fill: var(--amber); }
.macs { fill: var(--blue); } .weights { fill: var(--violet); }
.plot .activation:not(.tensor) { fill: var(--teal); } .range { fill: var(--pale); }
.same { fill: var(--teal); } .near { fill: var(--amber); } .differ { fill: var(--bad); }
.keys { font-size: 13px; color: var(--quiet); } .key { margin-right: 1.2rem; white-space: nowrap; }
.key i { display: inline-block; width: .8rem; height: .8rem; margin-right: .35rem; vertical-align: -1px; }
@media (max-width: 40rem) { dl { grid-template-columns: 1fr; } dd { margin: 0 0 .3rem; } .cards thead { display: none; }
  .cards tr { display: flex; flex-wrap: wrap; gap: .1rem .9rem; border-bottom: 1px solid var(--rule); }
  .cards td { border: 0; padding: .1rem 0; } .cards td:last-child { flex-basis: 100%; } }
@media print { .plot { break-inside: avoid; } svg { min-width: 0; } }
"""


_CHECKS = (
    Column("check", "name"),
    Column("", lambda check: mark(check.ok, check_word(check).lower())),
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
_BAR, _GAP, _HEIGHT, _COLUMNS = 38, 8, 110, 4


def report_html(reports: Sequence[Report]) -> str:
    """The page: of each report its verdict and checks, then plots of arena, layers, compute and parity.

    Args:
        reports: at least one; the page shows them one after the other.
    """
    title = "keras_mtl emulate: " + ", ".join(_title(report) for report in reports)
    return page(title, *map(_section, reports), style=_STYLE)


def _title(report: Report) -> str:
    return f"{report.artifact['part']} {report.artifact['format'] or ''} on {report.target['name']}"


def _section(report: Report) -> str:
    artifact = report.artifact
    facts = [
        ("artifact", str(artifact["path"]) or "-"),
        ("sha256", str(artifact["sha256"])),
        ("target", f"{report.target['name']}: {report.target.get('description', '')}"),
        ("file", f"{number(artifact.get('file_bytes'))} bytes"),
        ("work", _work(artifact)),
    ]
    parts = [
        f"<h1>{escape(_title(report))} {mark(report.passed, report.verdict_line)}</h1>",
        definitions(facts),
        "<h2>Checks</h2>",
        Table(_CHECKS, report.checks).html("cards"),
        "".join(f'<p class="note">{escape(note)}</p>' for note in report.notes),
        _memory(report),
        arena_section(report.arena),
        layers_section(report),
        compute_section(report.compute),
        remedies_section(report.remedies),
        compatibility_section(report.compatibility),
        parity_section(report.parity),
        "<h2>Engines</h2>",
        Table(_ENGINES, report.engines).html(),
    ]
    return "\n".join(filter(None, parts))


def _work(artifact: dict[str, Any]) -> str:
    if artifact.get("macs_per_second") is None and artifact.get("macs") is not None:
        return f"{number(artifact['macs'])} MACs an inference"
    return f"{number(artifact.get('macs_per_second'))} MACs for a second of audio"


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


def parity_section(parity: dict[str, Any] | None) -> str:
    """The section on parity; empty where nothing was compared."""
    if parity is None:
        return ""
    titles = {
        "": "<h2>Parity</h2>",
        "events": "<h3>Probabilities of events</h3>",
        "in_a_row": "<h3>Inferences one after the other, without a reset</h3>",
    }
    return "\n".join(part for kind, each in compared(parity).items() for part in (titles[kind], _compared(each)))


def _compared(parity: dict[str, Any]) -> str:
    largest, limit = parity["largest_lsb"], parity["limit_lsb"]
    ok = limit is None or (largest is not None and largest <= limit)
    unit = "steps of the output's last place (LSB)"
    measured = mark(ok, "not a number" if largest is None else f"{largest:g} LSB")
    pair = " against ".join(parity["pair"])
    allowed = "not checked" if limit is None else f"{limit:g} allowed"
    lead = f"<p>{escape(pair)}: {measured}, {allowed}, in {unit}. Against {escape(parity['base'])}:</p>"
    return lead + _histograms(parity) + _first(parity["first_difference"])


def _histograms(parity: dict[str, Any]) -> str:
    """One small plot for each engine: how many output values differ by 0, 1, 2 and more steps."""
    engines = parity["engines"]
    if not engines:
        return ""
    room, parts = WIDTH / _COLUMNS, []
    for index, (name, found) in enumerate(engines.items()):
        x, y = (index % _COLUMNS) * room + 10, (index // _COLUMNS) * (_HEIGHT + 66)
        parts += [text(x, y + 16, name, kind="head", most=room - 16)]
        total = sum(found["histogram"].values()) or 1
        for place, (step, count) in enumerate(found["histogram"].items()):
            left, height = x + place * (_BAR + _GAP), _HEIGHT * count / total
            base = y + 36 + _HEIGHT
            kind = "differ" if step == ">2" else "near" if step != "0" else "same"
            title = f"{name}: {count:,} of {total:,} output values differ by {step} LSB"
            if count:
                parts.append(box(left, base - max(height, 1.5), _BAR, max(height, 1.5), kind, title))
            parts.append(text(left + _BAR / 2, base - max(height, 1.5) - 4, f"{count:,}", "middle", "quiet"))
            parts.append(text(left + _BAR / 2, base + 15, step, "middle"))
        parts.append(line(x - 2, y + 36 + _HEIGHT, x + 4 * (_BAR + _GAP) - _GAP + 2, y + 36 + _HEIGHT))
    rows = -(-len(engines) // _COLUMNS)
    return drawing(rows * (_HEIGHT + 66), parts, "Histograms of differences from the base, in LSB")


def _first(first: dict[str, Any] | None) -> str:
    if first is None:
        return ""
    rows = [("engines", f"{first['engine']} against {first['against']}")]
    if "input" in first:
        rows.append(("input", f"number {first['input']}, on which they differ most"))
    if first.get("member"):
        rows.append(("file", first["member"]))
    if "operator" in first:
        where = f"{first['op']}, operator {first['operator']}: {short_name(first['layer'])}"
        grown = f"its inputs differ by {number(first['inputs_lsb'])} LSB, its output by {number(first['lsb'])}"
        rows += [("first layer that differs", where), ("there", grown)]
    else:
        rows.append(("first layer that differs", first["why"]))
    return definitions(rows)
