"""The compute estimate on a report's page, as ranges and never as one figure, and what kernels lack."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape
from typing import Any

from keras_mtl.core import Column, Table
from keras_mtl.firmware_host.views.html_svg import WIDTH, box, drawing, line, short_number, text
from keras_mtl.firmware_host.views.html_tables import span
from keras_mtl.firmware_host.views.names import short_name

_LEFT, _ROW, _TOP = 218, 24, 30
_LACKING = (
    Column("", lambda found: span("failed" if found["severity"] == "blocks" else "quiet", found["severity"])),
    Column("where", "where"),
    Column("operator", lambda found: f"{found['op']} v{found['version']}"),
    Column("layer", lambda found: span("", short_name(found["layer"]), found["layer"])),
    Column("why", "why"),
    Column("try", "try"),
)


def compute_section(compute: dict[str, Any] | None) -> str:
    """The section on the estimate; empty without one."""
    if compute is None:
        return ""
    least, most = compute["instructions_per_second"]
    low, high = compute["load"]
    clock = compute["clock_hz"]
    lead = (
        f"An estimate, not a measured latency: {_million(least)} to {_million(most)} M instructions for a second of "
        f"audio on {compute['core']} with {compute['kernels']} kernels. At one instruction a cycle that is "
        f"{low:.0%} to {high:.0%} of {clock / 1e6:g} MHz."
    )
    rows = [(f"{part['op']} {part.get('dtype', '')}".strip(), part) for part in compute["parts"]]
    ranges = [(name, part["instructions_per_second"], part.get("macs_per_second")) for name, part in rows]
    ranges.append(("all", (least, most), None))
    basis = f'<p class="quiet">Basis: {escape(compute["basis"])}.</p>'
    return f"<h2>Compute estimate</h2>\n<p>{escape(lead)}</p>{_ranges(ranges, clock)}{basis}"


def compatibility_section(findings: Sequence[dict[str, Any]]) -> str:
    """The section on what the target's kernels or the host's runtimes lack; empty where nothing was found."""
    if not findings:
        return ""
    return f"<h2>Compatibility</h2>\n{Table(_LACKING, findings).html()}"


def _million(value: float) -> str:
    """In millions, with the digits that a small value needs."""
    return f"{value / 1e6:,.1f}" if value >= 1e6 else f"{value / 1e6:.3g}"


def _ranges(ranges: Sequence[tuple[str, Sequence[float], float | None]], clock_hz: float) -> str:
    """Bars from the least to the most, on a logarithmic axis, and the clock as a line across them."""
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
        title = f"{name}: {least:,.0f} to {most:,.0f} instructions for a second of audio{counted}"
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
    parts.append(text(_LEFT, height + 14, "instructions for a second of audio, logarithmic", kind="quiet"))
    return drawing(height + 20, parts, "Ranges of instructions for a second of audio")
