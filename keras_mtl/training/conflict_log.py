"""The log of the cosine between the tasks' gradients in a run folder: PHASE.conflict.csv, written and read back."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from pathlib import Path

from keras_mtl.core import files

#: The metric's name in the logs.
COSINE = "gradient_cosine"
#: What follows a phase's name in the name of its log.
SUFFIX = ".conflict.csv"
_COLUMNS = ("step", "epoch", COSINE)

Row = tuple[int, int, float]


def conflict_logs(run: str | Path) -> dict[str, Path]:
    """The logs of a run folder by phase; none where the cosine was not measured."""
    return {path.name.removesuffix(SUFFIX): path for path in sorted(Path(run).glob(f"*{SUFFIX}"))}


def read_conflict(path: Path) -> list[Row]:
    """The rows of a log: step, epoch, cosine; none where the file is not there."""
    if not path.is_file():
        return []
    with path.open(encoding="utf-8", newline="") as file:
        return [(int(row["step"]), int(row["epoch"]), float(row[COSINE])) for row in csv.DictReader(file)]


def write_conflict(path: Path, rows: Iterable[Row]) -> None:
    """Writes a log anew."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(_COLUMNS)
    writer.writerows(rows)
    files.write_text(path, text.getvalue())
