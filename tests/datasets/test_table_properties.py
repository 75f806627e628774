"""Whatever stands in a table, however it is written: what was written is read, and anything else is one clear line."""

from __future__ import annotations

from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from keras_mtl.core import DataError
from keras_mtl.datasets.tables import read_table

# A cell holds no TAB and nothing that ends a line, in any alphabet.
_CELL = st.text(st.characters(exclude_categories=("Cc", "Cs", "Zl", "Zp")), max_size=12)
_NAME = _CELL.filter(lambda text: text.strip() != "")
_in_one_folder = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])


@st.composite
def _tables(draw) -> tuple[list[str], list[list[str]]]:
    header = draw(st.lists(_NAME.map(lambda text: text.replace("\ufeff", "x")), min_size=1, max_size=4, unique=True))
    row = st.tuples(_NAME, *[_CELL] * (len(header) - 1)).map(list)
    return header, draw(st.lists(row, min_size=1, max_size=6))


@_in_one_folder
@given(
    _tables(), st.sampled_from(["\n", "\r\n"]), st.booleans(), st.lists(st.sampled_from(["", " ", "\t"]), max_size=2)
)
def test_what_was_written_is_read(
    tmp_path: Path, table: tuple[list[str], list[list[str]]], line_end: str, mark: bool, blank: list[str]
) -> None:
    header, rows = table
    lines = [*blank, "\t".join(header), *blank, *("\t".join(row) for row in rows), *blank]
    path = tmp_path / "table.tsv"
    path.write_bytes((("\ufeff" if mark else "") + line_end.join(lines)).encode())
    assert read_table(path, header) == [dict(zip(header, row, strict=True)) for row in rows]


@_in_one_folder
@given(st.binary(max_size=200) | st.text(max_size=100).map(str.encode))
def test_any_bytes_are_a_table_or_one_clear_line(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "table.tsv"
    path.write_bytes(content)
    try:
        rows = read_table(path, ("filename",))
    except DataError as error:
        assert str(path) in str(error)
        assert "\n" not in str(error)
    else:
        assert all(row["filename"] for row in rows)
