"""Numbers, marks and definitions of a report's page."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape

from keras_mtl.core import Html


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
