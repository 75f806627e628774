"""Cross-fitting: training recordings dealt into folds, and what is fitted without some of them, kept in the cache."""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from keras_mtl.core import files

Arrays = dict[str, np.ndarray]


def deal(recordings: Sequence[str], scenes: Sequence[int], folds: int, seed: int) -> dict[str, int]:
    """The fold of each recording: those of every scene are shuffled and dealt out in turn, so that folds are alike.

    Args:
        recordings: of each clip.
        scenes: of each clip; all the same where there are none.
        folds: how many.
        seed: of the draw.
    """
    random = np.random.default_rng((seed, 11))
    first = dict(zip(reversed(recordings), reversed(scenes), strict=True))
    dealt: list[str] = []
    for scene in sorted(set(first.values())):
        of_scene = sorted(name for name, each in first.items() if each == scene)
        dealt += [of_scene[place] for place in random.permutation(len(of_scene))]
    return {name: place % folds for place, name in enumerate(dealt)}


def kept(path: Path | None, make: Callable[[], Arrays]) -> Arrays:
    """Arrays of a file, or, where it is not there or damaged, made and written to it. Without a path, made."""
    if path is not None:
        try:
            with np.load(path) as found:
                return dict(found)
        except (OSError, ValueError, EOFError, zipfile.BadZipFile):
            pass
    arrays = make()
    if path is not None:
        with files.new_file(path) as file:
            np.savez(file, **arrays)
    return arrays
