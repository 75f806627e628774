"""A split of a data set before it is written."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from keras_mtl.datasets.clips import Census


@dataclass(frozen=True)
class Split:
    """One split before it is written.

    Attributes:
        keys: unique names of the clips that are there. A split without any is left out; its census is kept.
        example: gives the example of one key; counts into `census` what it had to change.
        census: what the tables and folders showed so far.
    """

    keys: Sequence[str]
    example: Callable[[str], dict[str, Any]]
    census: Census


def counts(census: Census) -> dict[str, int]:
    """The numbers of a census."""
    return {name: value for name, value in asdict(census).items() if isinstance(value, int)}


def add(census: Census, more: dict[str, int]) -> None:
    """Adds numbers to those of a census."""
    for name, count in more.items():
        setattr(census, name, getattr(census, name) + count)
