"""Reading TAB-separated tables, and what is wrong with those that can't be used."""

from __future__ import annotations

from pathlib import Path

import pytest

from keras_mtl.core import DataError
from keras_mtl.datasets.tables import read_table


def test_reads_what_other_systems_write(tmp_path: Path) -> None:
    path = tmp_path / "table.tsv"
    path.write_bytes("\ufefffilename\tonset\textra\r\nä b.wav\t1.5\tx\r\n\r\nc.wav\r\n".encode())
    assert read_table(path, ("filename", "onset")) == [
        {"filename": "ä b.wav", "onset": "1.5", "extra": "x"},
        {"filename": "c.wav", "onset": "", "extra": ""},
    ]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "is empty"),
        (b"\n\n", "is empty"),
        (b"filename\tlabel\n", "has a header but no rows"),
        (b"filename,label\na.wav,bus\n", "has no column filename, label"),
        (b"filename\tscene\na.wav\tbus\n", "has no column label"),
        (b"filename\tlabel\na.wav\tbus\ttoo much\n", "line 2: 3 cells under 2 columns"),
        (b"filename\tlabel\n\tbus\n", "line 2: no filename"),
        (b"\xff\xfe\x00\x01", "is not a text table"),
    ],
)
def test_a_bad_table_is_refused_in_one_line_that_names_it(tmp_path: Path, content: bytes, says: str) -> None:
    path = tmp_path / "table.csv"
    path.write_bytes(content)
    with pytest.raises(DataError, match=says) as caught:
        read_table(path, ("filename", "label"))
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_table_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no table at"):
        read_table(tmp_path / "none.csv", ("filename",))
