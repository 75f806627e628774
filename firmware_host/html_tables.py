"""Tables and numbers of a report's page."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape


def number(value: float | None) -> str:
    """With commas; a dash for none."""
    return "-" if value is None else f"{value:,}"


def mark(ok: bool, words: str) -> str:
    """Words in the colour of what passed or failed."""
    return f'<span class="{"passed" if ok else "failed"}">{escape(words)}</span>'


def table(columns: Sequence[str], rows: Iterable[Sequence[str]], kind: str = "") -> str:
    """A table of cells that are HTML already.

    Args:
        columns: their names; one that begins with "#" and more holds numbers.
        rows: the cells.
        kind: a class of the style sheet: "cards" where a narrow screen shows each row by itself.
    """
    kinds = [' class="number"' if len(column) > 1 and column.startswith("#") else "" for column in columns]
    titles = (column if column == "#" else column.lstrip("#") for column in columns)
    head = "".join(f"<th{kind}>{escape(title)}</th>" for kind, title in zip(kinds, titles, strict=True))
    body = "\n".join(
        "<tr>" + "".join(f"<td{kind}>{cell}</td>" for kind, cell in zip(kinds, row, strict=True)) + "</tr>"
        for row in rows
    )
    inner = f"<thead><tr>{head}</tr></thead><tbody>\n{body}\n</tbody>"
    return f'<div class="table"><table class="{kind}">{inner}</table></div>'


def definitions(rows: Iterable[tuple[str, str]]) -> str:
    """Names and what they stand for, both as plain text."""
    body = "".join(f"<dt>{escape(name)}</dt><dd>{escape(words)}</dd>" for name, words in rows)
    return f"<dl>{body}</dl>"
