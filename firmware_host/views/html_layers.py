"""What each layer costs, on a report's page: bars of MACs, weights and activations, and the table of all operators."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape
from typing import Any

from keras_mtl.core import Column, Html, Table
from keras_mtl.firmware_host.compute import OpRow
from keras_mtl.firmware_host.report import Report
from keras_mtl.firmware_host.views.html_parts import WIDTH, bars, box, drawing, line, number, short_number, span, text
from keras_mtl.firmware_host.views.text import clock_share, energy_lines, millions, operator_name, percent, short_name

_MOST_BARS = 48
_LEFT, _LEFT_OF_SETS = 218, 300
_ROW, _TOP = 24, 30
_LACKING = (
    Column("", lambda found: span("failed" if found["severity"] == "blocks" else "quiet", found["severity"])),
    Column("where", "where"),
    Column("operator", lambda found: f"{found['op']} v{found['version']}"),
    Column("layer", lambda found: span("", short_name(found["layer"]), found["layer"])),
    Column("why", "why"),
    Column("try", "try"),
)


def layers_section(report: Report) -> str:
    """The section on layers."""
    audio, total = report.artifact.get("audio_seconds"), report.artifact.get("macs_per_second")
    macs = report.artifact.get("macs")
    each = f"{number(macs)} MACs an inference" if macs is not None else "MACs that can't all be counted"
    each = f"{number(total)} MACs for a second of audio" if total is not None else each
    written = report.artifact.get("activation_bytes_per_second")
    each += f", in which operators write {number(written)} bytes of activations" if written is not None else ""
    lead = f"{each}; {number(report.artifact.get('parameter_bytes'))} bytes of weights and other constants"
    length = f"; one inference hears {audio:g} s" if audio and not report.artifact.get("members") else ""
    parts = ["<h2>Layers</h2>", f"<p>{escape(lead + length)}.</p>", _bars(report)]
    parts.append(f"<details><summary>All {len(report.ops)} operators</summary>{_table(report)}</details>")
    return "\n".join(parts)


def layer_name(report: Report, row: OpRow) -> str:
    """A short name; in a set with its member."""
    member, _, rest = row.name.partition("/")
    return f"{member}: {short_name(rest)}" if rest and report.artifact.get("members") else short_name(row.name)


def _bars(report: Report) -> str:
    costly = [row for row in report.ops if row.macs or row.weight_bytes > 64]
    costly = sorted(sorted(costly, key=lambda row: -(row.macs or 0))[:_MOST_BARS], key=lambda row: row.index)
    rows = []
    for row in costly:
        name = f"{row.index} {layer_name(report, row)}"
        values = (
            (row.macs or 0, "macs", f"{name}: {number(row.macs)} MACs of one inference"),
            (row.weight_bytes, "weights", f"{name}: {row.weight_bytes:,} bytes of constants"),
            (row.activation_bytes, "activation", f"{name}: {row.activation_bytes:,} bytes of outputs"),
        )
        rows.append((name, values))
    if not rows:
        return ""
    units = "MACs of one inference|bytes of weights|bytes of outputs"
    left = _LEFT_OF_SETS if report.artifact.get("members") else _LEFT
    return bars(rows, left, "MACs, weights and outputs of the layers", units)


def _table(report: Report) -> str:
    columns = (
        Column("#", "index"),
        Column("operator", operator_name),
        Column("layer", lambda row: span("", layer_name(report, row), row.name)),
        Column("inputs", lambda row: Html("<br>".join(map(escape, _typed(row))))),
        Column("output", lambda row: Html("<br>".join(map(escape, _outputs(row))))),
        Column("MACs", "macs", ","),
        Column("weight bytes", "weight_bytes", ","),
        Column("activation bytes", "activation_bytes", ","),
    )
    return Table(columns, report.ops).html()


def _outputs(row: OpRow) -> list[str]:
    if not row.output_dtypes:  # a report of before all outputs were listed
        return [_shaped(row.output_dtype, row.output_shape)]
    return [_shaped(dtype, shape) for dtype, shape in zip(row.output_dtypes, row.output_shapes, strict=False)]


def _typed(row: OpRow) -> list[str]:
    return [_shaped(dtype, shape) for dtype, shape in zip(row.input_dtypes, row.input_shapes, strict=False)]


def _shaped(dtype: str, shape: tuple[int, ...]) -> str:
    return f"{dtype} {'x'.join(map(str, shape)) or 'scalar'}" if dtype != "-" else "-"


def compute_section(compute: dict[str, Any] | None) -> str:
    """The section on the estimate; empty without one."""
    if compute is None:
        return ""
    per, clock = compute.get("per", "second"), compute["clock_hz"]
    what = "a second of audio" if per == "second" else "an inference"
    unit = "cycles" if compute.get(f"cycles_per_{per}") else "instructions"
    counted = compute[f"instructions_per_{per}"]
    lead = f"An estimate, not a measured latency: {f'{millions(counted)} M instructions ' if counted else ''}for {what}"
    lead += f" on {compute['core']} with {compute.get('library', compute['kernels'])} kernels; {clock_share(compute)}."
    rows = [(f"{part['op']} {part.get('dtype', '')}".strip(), part) for part in compute["parts"]]
    rows += [(part["name"], part) for part in compute.get("around", ())]
    known = [(name, part, part.get(f"{unit}_per_{per}")) for name, part in rows]
    ranges = [(name, ends, part.get(f"macs_per_{per}")) for name, part, ends in known if ends is not None]
    ranges.append(("all", [sum(ends[i] for _, ends, _ in ranges) for i in (0, 1)], None))
    sources = [compute["basis"], compute.get("cycles_basis"), *energy_lines(compute.get("energy"))]
    basis = "".join(f'<p class="quiet">{escape(source.strip())}.</p>' for source in sources if source)
    return f"<h2>Compute estimate</h2>\n<p>{escape(lead)}</p>{_ranges(ranges, clock, unit, what)}{basis}"


def remedies_section(remedies: Sequence[dict[str, Any]]) -> str:
    """The section on what would make it fit; empty where it does."""
    if not remedies:
        return ""
    columns = (
        Column("change", "change"),
        Column("of the core", lambda found: percent(found["load"])),
        Column("fits", "fits"),
    )
    return f"<h2>What would make it fit</h2>\n{Table(columns, remedies).html()}"


def compatibility_section(findings: Sequence[dict[str, Any]]) -> str:
    """The section on what the target's kernels or the host's runtimes lack; empty where nothing was found."""
    if not findings:
        return ""
    return f"<h2>Compatibility</h2>\n{Table(_LACKING, findings).html()}"


def _ranges(ranges: Sequence[tuple[str, Sequence[float], float | None]], clock_hz: float, unit: str, what: str) -> str:
    """Bars from the least to the most of `unit` for `what`, on a logarithmic axis, and the clock as a line across."""
    ends = [end for _, both, _ in ranges for end in both if end > 0] + [clock_hz]
    first, last = math.floor(math.log10(min(ends))), math.ceil(math.log10(max(ends)))
    last = max(last, first + 1)
    room, height = WIDTH - _LEFT - 20, _TOP + len(ranges) * _ROW

    def place(value: float) -> float:
        return _LEFT + room * (math.log10(max(value, 10.0**first)) - first) / (last - first)

    parts = []
    for power in range(first, last + 1):
        x = place(10.0**power)
        parts += [line(x, _TOP - 8, x, height, "grid"), text(x, 14, short_number(10.0**power), "middle", "quiet")]
    for index, (name, (least, most), macs) in enumerate(ranges):
        y = _TOP + index * _ROW
        counted = f", {macs:,.0f} MACs" if macs else ""
        title = f"{name}: {least:,.0f} to {most:,.0f} {unit} for {what}{counted}"
        start = place(least)
        parts += [
            text(_LEFT - 8, y + 13, name, "end", most=_LEFT - 10),
            box(start, y + 2, max(3.0, place(most) - start), _ROW - 8, "macs" if name == "all" else "range", title),
        ]
    x = place(clock_hz)
    parts += [
        line(x, _TOP - 8, x, height, "clock"),
        text(min(x, WIDTH - 50), height + 14, f"clock {clock_hz / 1e6:g} MHz", "middle"),
    ]
    parts.append(text(_LEFT, height + 14, f"{unit} for {what}, logarithmic", kind="quiet"))
    return drawing(height + 20, parts, f"Ranges of {unit} for {what}")
