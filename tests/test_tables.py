"""The one model of tables: what text, Markdown and HTML make of the same rows."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from keras_mtl.core import Column, Html, Table


@dataclass(frozen=True)
class Row:
    name: str
    size: int | None
    share: float


COLUMNS = (
    Column("name", "name"),
    Column("bytes", "size", ","),
    Column("share", lambda row: row.share if row.share else "none", ".2f"),
    Column("", lambda row: Html("<b>ok</b>") if row.size else "a|b <no>"),
)
ROWS = (Row("conv", 12_345, 0.5), Row("a longer name", None, 0.0))


def test_text_has_columns_two_spaces_apart_and_numbers_to_the_right():
    assert Table(COLUMNS[:3], ROWS).text() == [
        "name            bytes  share",
        "conv           12,345   0.50",
        "a longer name       -   none",
    ]


def test_markdown_keeps_a_bar_in_its_cell():
    head, rule, _, last = Table((COLUMNS[0], COLUMNS[1], COLUMNS[3]), ROWS).markdown()
    assert (head, rule) == ("| name | bytes |  |", "| --- | ---: | --- |")
    assert last == "| a longer name | - | a\\|b <no> |"


def test_html_escapes_all_that_is_not_html():
    page = Table(COLUMNS, ROWS).html("cards")
    assert '<td class="number">12,345</td>' in page
    assert "<td><b>ok</b></td>" in page
    assert "<td>a|b &lt;no&gt;</td>" in page
    assert page.startswith('<div class="table"><table class="cards"><thead><tr><th>name</th>')


@pytest.mark.parametrize("row", [{"size": 7}, (7,), Row("", 7, 0.0)], ids=["mapping", "sequence", "dataclass"])
def test_rows_may_be_mappings_sequences_and_dataclasses(row):
    assert Column("bytes", 0 if isinstance(row, tuple) else "size", ",").cell(row) == "7"


def test_a_table_without_rows_is_its_head():
    assert Table(COLUMNS[:2], ()).text() == ["name  bytes"]
