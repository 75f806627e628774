"""Small SVG drawings for a report's page: shapes with tooltips, axes, bars. Colours come from its style sheet."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from html import escape

from keras_mtl.core import Html

#: Width of all drawings, in units of their own; the page scales them.
WIDTH = 960
_SUFFIXES = ((1e9, "G"), (1e6, "M"), (1e3, "k"))
#: A letter's width at the font size of drawings, in a wide font.
LETTER = 7.4


def drawing(height: float, parts: Iterable[str], label: str) -> str:
    """A drawing of full width, which scrolls sideways where the screen is too narrow to read it."""
    body = "".join(parts)
    view = f'viewBox="0 0 {WIDTH} {height:g}"'
    return f'<div class="plot"><svg {view} role="img" aria-label="{escape(label)}">{body}</svg></div>'


def box(x: float, y: float, width: float, height: float, kind: str, title: str = "") -> str:
    """A rectangle of a class of the style sheet, with a tooltip."""
    shape = (
        f'<rect class="{kind}" x="{x:.1f}" y="{y:.1f}" width="{max(width, 0.5):.1f}" height="{max(height, 0.5):.1f}"'
    )
    return f"{shape}><title>{escape(title)}</title></rect>" if title else f"{shape}/>"


def text(x: float, y: float, words: str, anchor: str = "start", kind: str = "", most: float | None = None) -> str:
    """A line of text; cut off with an ellipsis where it is wider than `most`."""
    room = len(words) if most is None else int(most / LETTER)
    shown = words if len(words) <= room else words[: max(0, room - 1)] + "…"
    style = f' class="{kind}"' if kind else ""
    return f'<text{style} x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(shown)}</text>' if shown else ""


def line(x1: float, y1: float, x2: float, y2: float, kind: str = "axis") -> str:
    """A straight line."""
    return f'<line class="{kind}" x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"/>'


def short_number(value: float) -> str:
    """A number for an axis: 1,500,000 is "1.5M"."""
    for size, suffix in _SUFFIXES:
        if abs(value) >= size:
            return f"{value / size:.3g}{suffix}"
    return f"{value:.3g}"


def ticks(most: float, count: int = 5) -> list[float]:
    """Round values from 0 up to `most`, about as many as asked for."""
    if not most > 0:
        return [0.0]
    rough = most / count
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 2.5, 5, 10) if factor * power >= rough * 0.999)
    return [step * number for number in range(int(most / step + 1e-9) + 1)]


def bars(rows: Sequence[tuple[str, Sequence[tuple[float, str, str]]]], left: float, label: str, unit: str) -> str:
    """Horizontal bars that begin at 0, several to a row side by side on scales of their own.

    Args:
        rows: (name, [(value, class, tooltip), ...]) of each row; as many values in each.
        left: where the bars begin.
        label: what the drawing shows.
        unit: of the first and of the second value and so on, divided by "|".
    """
    height, top, gap = 20, 24, 28
    units = unit.split("|")
    room = (WIDTH - left - gap * (len(units) - 1)) / len(units)
    largest = [max((row[1][i][0] for row in rows), default=0) or 1 for i in range(len(units))]
    parts = [text(left + i * (room + gap), 14, name, kind="head") for i, name in enumerate(units)]
    for number, (name, values) in enumerate(rows):
        y = top + number * height
        parts.append(text(left - 8, y + 13, name, "end", most=left - 10))
        for i, (value, kind, title) in enumerate(values):
            x, width = left + i * (room + gap), (room - 56) * value / largest[i]
            if value:
                parts.append(box(x, y + 2, width, height - 6, kind, title))
            parts.append(text(x + (width + 5 if value else 0), y + 13, short_number(value), kind="quiet"))
    return drawing(top + len(rows) * height + 4, parts, label)


def number(value: float | None) -> str:
    """With commas; a dash for none."""
    return "-" if value is None else f"{value:,}"


def span(kind: str, words: str, title: str = "") -> Html:
    """Words in a class of the style sheet, and what is shown while a pointer rests on them."""
    given = {"class": kind, "title": title}
    attributes = "".join(f' {name}="{escape(text)}"' for name, text in given.items() if text)
    return Html(f"<span{attributes}>{escape(words)}</span>")


def mark(ok: bool, words: str) -> Html:
    """Words in the colour of what passed or failed."""
    return span("passed" if ok else "failed", words)


def definitions(rows: Iterable[tuple[str, str]]) -> str:
    """Names and what they stand for, both as plain text."""
    body = "".join(f"<dt>{escape(name)}</dt><dd>{escape(words)}</dd>" for name, words in rows)
    return f"<dl>{body}</dl>"
