"""Tables: rows of plain values, as they stand in JSON, and columns that say how text, Markdown and HTML show them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any


class Html(str):
    """A cell that is HTML already; every other one is escaped on a page."""

    __slots__ = ()


@dataclass(frozen=True)
class Column:
    """One column.

    Attributes:
        title: its head.
        value: a row's key, attribute or place, or a function of the row. None is shown as a dash.
        spec: format of its numbers, as ",.3f"; texts stay as they are. A column with one is set to the right; ">" does
            nothing else.
    """

    title: str
    value: str | int | Callable[[Any], Any]
    spec: str = ""

    def cell(self, row: Any) -> str:
        """What is shown of a row."""
        if callable(self.value):
            value = self.value(row)
        elif isinstance(self.value, int) or isinstance(row, Mapping):
            value = row[self.value]
        else:
            value = getattr(row, self.value)
        if value is None:
            return "-"
        return value if isinstance(value, str) else format(value, self.spec)


@dataclass(frozen=True)
class Table:
    """Columns, and the rows: mappings, dataclasses or sequences."""

    columns: Sequence[Column]
    rows: Sequence[Any]

    def text(self) -> list[str]:
        """Lines of columns that stand two spaces apart."""
        lines = [self._titles(), *self._cells()]
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        sides = [str.rjust if column.spec else str.ljust for column in self.columns]
        return [
            "  ".join(side(cell, width) for side, cell, width in zip(sides, line, widths, strict=True)).rstrip()
            for line in lines
        ]

    def markdown(self) -> list[str]:
        """Lines of a Markdown table."""
        rule = ["---:" if column.spec else "---" for column in self.columns]
        head, *body = ([cell.replace("|", "\\|") for cell in line] for line in (self._titles(), *self._cells()))
        return [f"| {' | '.join(line)} |" for line in (head, rule, *body)]

    def html(self, kind: str = "") -> str:
        """A `table` in a `div`; columns set to the right have the class "number".

        Args:
            kind: a class of the page's style sheet.
        """
        classes = [' class="number"' if column.spec else "" for column in self.columns]

        def line(tag: str, cells: Sequence[str]) -> str:
            shown = (cell if isinstance(cell, Html) else escape(cell) for cell in cells)
            return f"<tr>{''.join(f'<{tag}{c}>{cell}</{tag}>' for c, cell in zip(classes, shown, strict=True))}</tr>"

        body = "\n".join(line("td", cells) for cells in self._cells())
        inner = f"<thead>{line('th', self._titles())}</thead><tbody>\n{body}\n</tbody>"
        return f'<div class="table"><table class="{kind}">{inner}</table></div>'

    def _titles(self) -> list[str]:
        return [column.title for column in self.columns]

    def _cells(self) -> list[list[str]]:
        return [[column.cell(row) for column in self.columns] for row in self.rows]
