"""A split of a data set before it is written."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from keras_mtl.core import DataError
from keras_mtl.datasets.audio import Recording
from keras_mtl.datasets.prepare.census import Census

_UNREADABLE = "remove such a file or get it again; missing files are skipped"


@dataclass(frozen=True)
class Split:
    """One split before it is written.

    Attributes:
        keys: unique names of the clips that are there. A split without any is left out; its census is kept.
        example: gives the example of one key; counts into `census` what it had to change.
        census: what the tables and folders showed so far.
        recordings: the file of each key; empty for sounds that are made.
        count: counts into `census` what `example` would have to change, given what the recording of a key is.
    """

    keys: Sequence[str]
    example: Callable[[str], dict[str, Any]]
    census: Census
    recordings: Mapping[str, Path] = field(default_factory=dict)
    count: Callable[[str, Recording], Any] = lambda key, recording: None


def made(key: str, example: Callable[[str], dict[str, Any]], census: Census) -> dict[str, Any] | None:
    """The example of a key, counted; None, and a refusal in the census, where its recording can't be read."""
    try:
        values = example(key)
    except DataError as error:
        census.refuse("unreadable", key, DataError(error.message, hint=_UNREADABLE))
        return None
    census.clips += 1
    return values
