"""The parts of TAU's training split that task 1 of DCASE 2024 allows: their splits, and the tables of their clips.

Importing this module loads nothing heavy: recipes know their numbers from here.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from keras_mtl.core import DataError

#: All of the training split.
WHOLE: Final = 100
#: What can be trained on, in per cent of the training split.
PERCENTS = (5, 10, 25, 50, WHOLE)

#: Where a table may lie: in the folder that the baseline of DCASE 2024 uses, or beside fold 1's.
_FOLDERS = ("split_setup", "evaluation_setup")


def used_splits(percent: int) -> tuple[str, str]:
    """TAU's splits that are trained and scored on: the others hold the same clips once more."""
    return ("train" if percent == WHOLE else f"split{percent}", "test")


def subset_tables(root: Path) -> dict[str, Path]:
    """The tables that are there, by split: `split5` and so on. Not everybody has them.

    Args:
        root: the TAU folder.
    """
    names = [f"split{percent}" for percent in PERCENTS if percent != WHOLE]
    places = [root / folder / f"{name}.csv" for name in names for folder in _FOLDERS]
    return {path.stem: path for path in places if path.is_file()}


def require_subset(percent: int, root: Path | None, data: str) -> None:
    """Raises where a part can't be trained on.

    Args:
        percent: one of `PERCENTS`.
        root: the TAU folder; None where there is none.
        data: what the user calls the data.

    Raises:
        DataError: no such part, no TAU data, or no table of this part.
    """
    if percent not in PERCENTS:
        raise DataError(f"no subset of {percent} % of TAU's training clips", hint=f"one of {PERCENTS}")
    if percent == WHOLE:
        return
    whole = f"data.scene_subset={WHOLE} takes all training clips"
    if root is None:
        raise DataError(f"data.scene_subset = {percent}: {data} holds no TAU data, of which that is a part", hint=whole)
    name, _ = used_splits(percent)
    there = subset_tables(root)
    if name not in there:
        others = f"; there: {', '.join(path.name for path in there.values())}" if there else ""
        raise DataError(
            f"data.scene_subset = {percent}: no {name}.csv in {root}/{_FOLDERS[0]} or {_FOLDERS[1]}{others}",
            hint=f"get it from https://github.com/CPJKU/dcase2024_task1_baseline; {whole}",
        )
