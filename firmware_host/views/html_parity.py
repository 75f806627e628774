"""How engines' outputs differ, on a report's page: a histogram for each engine, and the first layer that differs."""

from __future__ import annotations

from html import escape
from typing import Any

from keras_mtl.firmware_host.views.html_svg import WIDTH, box, drawing, line, text
from keras_mtl.firmware_host.views.html_tables import definitions, mark, number
from keras_mtl.firmware_host.views.names import short_name

_BAR, _GAP, _HEIGHT, _COLUMNS = 38, 8, 110, 4


def parity_section(parity: dict[str, Any] | None) -> str:
    """The section on parity; empty where nothing was compared."""
    if parity is None:
        return ""
    parts = ["<h2>Parity</h2>", _compared(parity)]
    if parity.get("events"):
        parts += ["<h3>Probabilities of events</h3>", _compared(parity["events"])]
    return "\n".join(parts)


def _compared(parity: dict[str, Any]) -> str:
    largest, limit = parity["largest_lsb"], parity["limit_lsb"]
    ok = largest is not None and largest <= limit
    unit = "steps of the output's last place (LSB)"
    measured = mark(ok, "not a number" if largest is None else f"{largest:g} LSB")
    pair = f"{' and '.join(parity['pair'])} differ most"
    lead = f"<p>{escape(pair)}: {measured}, {limit:g} allowed, in {unit}. Against {escape(parity['base'])}:</p>"
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
