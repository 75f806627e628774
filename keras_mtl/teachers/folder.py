"""Targets that others computed: a folder with `targets.npz`, exported from PyTorch or written by `teach --out`.

| array | shape | what |
|---|---|---|
| `filename` | [n] | the clips, by the names of the data's tables |
| `embedding` | [n, D] or [n, T, D] | any numbers |
| `tags` | [n, S] | probabilities of the teacher's own classes |
| `scenes` | [n, scenes] | logits, in the order of the data's scenes |
| `events` | [n, T, events] | probabilities, in the order of the data's events; frame k is centred at k x `hop_s` |
| `hop_s` | [] | seconds from frame to frame of `events` |
| `events_filename` | [m] | where not all clips have `events`: the clips of its rows |
"""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from keras_mtl.core import DataError, Labels, nearest
from keras_mtl.teachers.scene_probe import mean_of_windows
from keras_mtl.teachers.targets import Targets

#: The file that makes a folder one of targets.
TARGETS = "targets.npz"
_DIMENSIONS = {"embedding": (2, 3), "tags": (2,), "scenes": (2,), "events": (3,)}
_OTHERS = ("filename", "events_filename", "hop_s")


def read_targets(folder: Path, labels: Labels) -> tuple[Targets, Targets]:
    """Reads and checks a folder of targets.

    Args:
        folder: it holds `targets.npz`.
        labels: the classes of the data.

    Returns:
        The targets of all clips, without events, and the events. Embeddings are standardised over all clips.

    Raises:
        DataError: no such file, or an array that can't be used.
    """
    path = folder / TARGETS
    arrays = _arrays(path)
    for name in arrays:
        if name not in (*_DIMENSIONS, *_OTHERS):
            raise DataError(f"{path}: no array may be called {name!r}", hint=nearest(name, [*_DIMENSIONS, *_OTHERS]))
    filenames = _names(path, arrays, "filename")
    rows = _names(path, arrays, "events_filename") if "events_filename" in arrays else filenames
    counts = {"scenes": len(labels.scenes), "events": len(labels.events)}
    found = {name: arrays[name] for name in _DIMENSIONS if name in arrays}
    if not found:
        raise DataError(f"{path} has no targets", hint=f"arrays of any of {', '.join(_DIMENSIONS)}")
    for name, array in found.items():
        _require(path, name, array, filenames if name != "events" else rows, counts.get(name))
    hop_s = float(arrays["hop_s"]) if "hop_s" in arrays and arrays["hop_s"].size == 1 else 0.0
    if "events" in found and not hop_s > 0:
        raise DataError(f"{path}: events without hop_s", hint="save the seconds from frame to frame as hop_s, too")
    events = found.pop("events", None)
    values: dict[str, Any] = {
        name: np.asarray(array, np.float32) for name, array in found.items() if name != "embedding"
    }
    if "embedding" in found:
        values["embedding"] = standardised(mean_of_windows(found["embedding"]), mean_of_windows(found["embedding"]))
    of_events = None if events is None else np.asarray(events, np.float32)
    return Targets(filenames, **values), Targets(rows, events=of_events, hop_s=hop_s)


def standardised(embedding: np.ndarray, training: np.ndarray) -> np.ndarray:
    """float32 [n, D] by mean and standard deviation of the training clips [m, D]; what never varies becomes 0."""
    mean, deviation = training.mean(axis=0), training.std(axis=0)
    return np.asarray((embedding - mean) / np.where(deviation > 0, deviation, 1.0), np.float32)


def _arrays(path: Path) -> dict[str, np.ndarray]:
    try:
        with np.load(path, allow_pickle=False) as file:
            return dict(file)
    except FileNotFoundError:
        raise DataError(f"no file {path}", hint="docs/teachers.md has what it holds") from None
    except (OSError, ValueError, TypeError, EOFError, zipfile.BadZipFile) as error:
        reason = str(error).splitlines()[0][:120] if str(error) else type(error).__name__
        raise DataError(f"{path} can't be read: {reason}", hint="write it by numpy.savez, without objects") from None


def _names(path: Path, arrays: dict[str, np.ndarray], key: str) -> np.ndarray:
    if key not in arrays or arrays[key].ndim != 1 or arrays[key].dtype.kind != "U":
        raise DataError(f"{path}: {key} is no list of texts", hint="the name of each clip, as in the data's tables")
    names, counts = np.unique(arrays[key], return_counts=True)
    if (counts > 1).any():
        raise DataError(f"{path}: {key} has {names[counts.argmax()]} more than once")
    return arrays[key]


def _require(path: Path, name: str, array: np.ndarray, rows: np.ndarray, classes: int | None) -> None:
    shape = " x ".join(map(str, array.shape))
    if array.dtype.kind not in "fiu" or array.ndim not in _DIMENSIONS[name] or 0 in array.shape[1:]:
        dimensions = " or ".join(map(str, _DIMENSIONS[name]))
        raise DataError(f"{path}: {name} is {array.dtype} {shape}, wanted are numbers of {dimensions} dimensions")
    if len(array) != len(rows):
        raise DataError(f"{path}: {name} has {len(array):,} rows for {len(rows):,} clips")
    if classes is not None and array.shape[-1] != classes:
        raise DataError(
            f"{path}: {name} has {array.shape[-1]} classes, the data have {classes}",
            hint="in the order of the data's labels",
        )
    for clip, row in zip(rows, array, strict=True):
        if not np.isfinite(row).all():
            raise DataError(f"{path}: {name} of {clip} is no number (NaN or infinite)")
        if name in ("tags", "events") and not (row.min() >= 0 and row.max() <= 1):
            raise DataError(f"{path}: {name} of {clip} is not between 0 and 1", hint="probabilities are wanted")
