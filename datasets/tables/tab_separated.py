"""Reading the tables of the data sets: TAB-separated text with a header line, whatever the file is called."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from keras_mtl.core import DataError

Row = dict[str, str]


def read_table(path: Path, columns: Sequence[str], may_be_empty: bool = False) -> list[Row]:
    """Reads a TAB-separated table.

    Args:
        path: the table. A byte-order mark, Windows line ends and empty lines are accepted.
        columns: names that its header must hold. More columns are read too.
        may_be_empty: whether a header without rows is a table as well.

    Returns:
        One dictionary a row. Cells that are missing at a row's end are empty strings.

    Raises:
        DataError: the table is missing, is not text, lacks a column, or has no row below its header where it must.
    """
    if not path.is_file():
        raise DataError(f"no table at {path}", hint="get the data set's metadata again")
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not a text table") from error
    except OSError as error:
        raise DataError(f"{path} can't be read: {error.strerror}") from error
    filled = [(number, line) for number, line in enumerate(lines, start=1) if line.strip()]
    if not filled:
        raise DataError(f"{path} is empty", hint="get the data set's metadata again")
    header = filled[0][1].split("\t")
    lacking = [column for column in columns if column not in header]
    if lacking:
        raise DataError(
            f"{path} has no column {', '.join(lacking)}; its header is {header}", hint="columns are TAB-separated"
        )
    if len(filled) == 1 and not may_be_empty:
        raise DataError(f"{path} has a header but no rows", hint="get the data set's metadata again")
    rows = []
    for number, line in filled[1:]:
        cells = line.split("\t")
        if len(cells) > len(header):
            raise DataError(f"{path}, line {number}: {len(cells)} cells under {len(header)} columns")
        cells += [""] * (len(header) - len(cells))
        rows.append(dict(zip(header, cells, strict=True)))
        if not rows[-1][columns[0]]:
            raise DataError(f"{path}, line {number}: no {columns[0]}")
    return rows


def is_empty(cell: str) -> bool:
    """Whether a cell is empty, or the NaN that pandas leaves."""
    return cell.strip().lower() in ("", "nan")
