"""What a training learns from a teacher: rows of targets by the clips' names, whoever computed them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from keras_mtl.core import DataError

_NAMED = 3


@dataclass(frozen=True)
class Targets:
    """A teacher's outputs for clips; what a teacher does not give is None.

    Attributes:
        filenames: str [n].
        embedding: float32 [n, D], mean over the windows, standardised by the training clips.
        tags: float32 [n, S], probabilities of the teacher's classes, mean over the windows.
        scenes: float32 [n, scenes], logits.
        events: float32 [n, windows, events], probabilities; window k is centred at k x `hop_s`.
        hop_s: seconds from window to window.
    """

    filenames: np.ndarray
    embedding: np.ndarray | None = None
    tags: np.ndarray | None = None
    scenes: np.ndarray | None = None
    events: np.ndarray | None = None
    hop_s: float = 0.0

    def __len__(self) -> int:
        return len(self.filenames)

    def take(self, index: np.ndarray) -> Targets:
        """Those of the clips at these places."""
        arrays = {name: getattr(self, name) for name in ("embedding", "tags", "scenes", "events")}
        taken = {name: array[index] for name, array in arrays.items() if array is not None}
        return replace(self, filenames=self.filenames[index], **taken)

    def of(self, filenames: Sequence[str], where: str) -> Targets:
        """Those of the clips of these names, in this order.

        Args:
            filenames: the clips.
            where: the targets come from, for messages.

        Raises:
            DataError: some are not there.
        """
        return self.take(places_of(self.filenames, filenames, where))


def places_of(there: np.ndarray, wanted: Sequence[str], where: str) -> np.ndarray:
    """The place of each wanted name, int [n].

    Raises:
        DataError: some are not there; it names the first of them.
    """
    place = {str(name): number for number, name in enumerate(there)}
    missing = [str(name) for name in wanted if str(name) not in place]
    if missing:
        named = ", ".join(missing[:_NAMED]) + (" ..." if len(missing) > _NAMED else "")
        raise DataError(
            f"{where}: no targets of {len(missing):,} of {len(wanted):,} clips: {named}",
            hint="export targets of every training clip, under the names of the data's tables",
        )
    return np.asarray([place[str(name)] for name in wanted], int)
