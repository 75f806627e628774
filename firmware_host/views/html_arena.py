"""The arena on a report's page: where every tensor lies and when, and how many bytes are alive."""

from __future__ import annotations

from html import escape
from typing import Any

from keras_mtl.firmware_host.arena import largest_scratch
from keras_mtl.firmware_host.views.html_parts import (
    WIDTH,
    box,
    definitions,
    drawing,
    line,
    number,
    short_number,
    text,
    ticks,
)
from keras_mtl.firmware_host.views.text import layer_of, short_name

_LEFT, _TOP, _MAP, _GAP, _CURVE, _NAMES = 64, 22, 260, 30, 90, 112
_PARTS = {
    "interpreter": "the interpreter itself",
    "tensors": "a structure for each tensor",
    "operators": "nodes and options of operators",
    "kernels": "kernels' own data and tables",
    "variables": "variables",
    "ports": "inputs and outputs",
}


def arena_section(arena: dict[str, Any] | None) -> str:
    """The section on the arena, of a file or of a set; empty without a plan."""
    if arena is None:
        return ""
    members = arena.get("members")
    parts = ["<h2>Arena</h2>", f"<p>{escape(_short(arena['explained']))}.</p>", _figures(arena)]
    if members is None:
        parts += [_map(arena), _key()]
    else:
        largest = arena["peak_member"]
        for name in sorted(members, key=lambda name: name != largest):
            open_ = " open" if name == largest else ""
            title = f"{name}: {members[name]['planned_bytes']:,} bytes"
            inner = _figures(members[name]) + _map(members[name])
            parts.append(f"<details{open_}><summary>{escape(title)}</summary>{inner}</details>")
        parts.append(_key())
    return "\n".join(parts)


def _figures(arena: dict[str, Any]) -> str:
    measured, kernels = arena["measured_bytes"], _kernels(arena.get("device"))
    rows = [
        ("planned from the file", f"{number(arena['planned_bytes'])} bytes on this host"),
        ("measured by TFLM", "it did not run the file" if measured is None else f"{number(measured)} bytes"),
        ("on the 32-bit device", f"{number(arena['planned_32bit_bytes'])} bytes planned{kernels}"),
        ("alive at once", f"{number(arena['activations_peak_bytes'])} bytes of activations at most"),
        ("kept", f"{number(arena['persistent_bytes'])} bytes{_kept(arena)}"),
    ]
    if "shared_bytes" in arena:
        rows.append(("with shared activations", f"{number(arena['shared_bytes'])} bytes on this host"))
    if arena.get("assumed_operators"):
        rows.append(("allowances", "kernels not known: " + ", ".join(arena["assumed_operators"])))
    return definitions(rows)


def _kernels(device: dict[str, Any] | None) -> str:
    return f", with {device['kernels']}: {largest_scratch(device['scratch'])}" if device else ""


def _kept(arena: dict[str, Any]) -> str:
    parts = arena.get("persistent_parts", {})
    return ": " + ", ".join(f"{_PARTS.get(name, name)} {size:,}" for name, size in parts.items()) if parts else ""


def _map(arena: dict[str, Any]) -> str:
    """Tensors as rectangles, offset over operators, and below them the bytes that are alive."""
    operators, timeline, total = arena["operators"], arena["timeline"], arena["activations_bytes"]
    if not operators or not total:
        return ""
    column = (WIDTH - _LEFT - 4) / len(operators)
    scale, curve_top = _MAP / total, _TOP + _MAP + _GAP
    peak = arena["peak_operator"]
    parts = [box(_LEFT + peak * column, _TOP - 4, column, _MAP + _GAP + _CURVE + 4, "peak")]
    parts += [text(_LEFT, 12, "offset in the arena, bytes", kind="head")]
    for tick in ticks(total):
        y = _TOP + _MAP - tick * scale
        parts += [line(_LEFT, y, WIDTH - 4, y, "grid"), text(_LEFT - 6, y + 4, short_number(tick), "end", "quiet")]
    for tensor in sorted(arena["tensors"], key=lambda tensor: -tensor["bytes"]):
        parts += _tensor(tensor, column, scale, operators)
    largest = max(timeline) or 1
    parts.append(text(_LEFT, curve_top - 8, f"bytes alive, at most {largest:,}", kind="head"))
    for index, alive in enumerate(timeline):
        height = _CURVE * alive / largest
        title = f"{index} {operators[index]['op']} {short_name(operators[index]['name'])}: {alive:,} bytes alive"
        kind = "alive most" if index == peak else "alive"
        parts.append(box(_LEFT + index * column, curve_top + _CURVE - height, column - 0.5, height, kind, title))
    parts += [line(_LEFT, curve_top + _CURVE, WIDTH - 4, curve_top + _CURVE), *_names(operators, column)]
    parts.append(box(_LEFT + peak * column, _TOP - 4, column, _MAP + _GAP + _CURVE + 4, "frame"))
    return drawing(curve_top + _CURVE + _NAMES, parts, "Tensors in the arena over the operators, and bytes alive")


def _tensor(tensor: dict[str, Any], column: float, scale: float, operators: list[dict[str, Any]]) -> list[str]:
    first, last = tensor["first_operator"], tensor["last_operator"]
    x, width = _LEFT + first * column, (last - first + 1) * column
    height = tensor["bytes"] * scale
    y = _TOP + _MAP - (tensor["offset"] + tensor["bytes"]) * scale
    name = short_name(tensor["name"])
    lives = f"operators {first} to {last}" if last > first else f"operator {first}"
    title = f"{name}: {tensor['bytes']:,} bytes at {tensor['offset']:,}, {lives} ({operators[first]['op']})"
    found = [box(x + 0.5, y, width - 1, height, f"tensor {tensor['kind']}", title)]
    if height >= 14 and width >= 40:
        found.append(text(x + 5, y + min(height / 2 + 4, 16), layer_of(tensor["name"]), kind="inside", most=width - 8))
    return found


def _names(operators: list[dict[str, Any]], column: float) -> list[str]:
    """Names below the columns, upright where they don't fit, and not all where there are many."""
    every = max(1, round(14 / column))
    y = _TOP + _MAP + _GAP + _CURVE + 12
    found = []
    for index in range(0, len(operators), every):
        x, name = _LEFT + (index + 0.5) * column + 4, f"{index} {layer_of(operators[index]['name'])}"
        turned = f'<g transform="translate({x:.1f} {y:.1f}) rotate(-60)">'
        found.append(f"{turned}{text(0, 0, name, 'end', 'quiet', most=_NAMES + 4)}</g>")
    return found


def _key() -> str:
    kinds = (("input", "input"), ("activation", "activation"), ("output", "output"), ("scratch", "scratch of a kernel"))
    marks = (f'<span class="key"><i class="{kind}"></i>{words}</span>' for kind, words in kinds)
    peak = '<span class="key"><i class="at-peak"></i>the peak</span>'
    return f'<p class="keys">{"".join(marks)}{peak}</p>'


def _short(explained: str) -> str:
    """The sentence with short names of layers."""
    words = " ".join(short_name(word) if "/" in word else word for word in explained.split(" "))
    return words[:1].upper() + words[1:]
