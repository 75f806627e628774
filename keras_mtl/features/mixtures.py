"""Event clips that are mixed anew for every pass over them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from keras_mtl.datasets.mixing import Occurrence, number_of
from keras_mtl.decoding import Event
from keras_mtl.features.feeder import Feeder
from keras_mtl.features.sets import EventSet


@dataclass(frozen=True)
class FreshMixtures(EventSet):
    """A set of which the mixed clips are other ones in each pass; those of pass 0 are those of the set.

    Attributes:
        feeder: what gives them.
    """

    feeder: Feeder

    @classmethod
    def of(cls, clips: EventSet, feeder: Feeder) -> FreshMixtures:
        """The same clips, mixed anew in later passes."""
        return cls(clips.log_mel, clips.events, clips.weak, clips.filenames, feeder)

    def clip(self, place: int, passed: int) -> tuple[np.ndarray, Sequence[Event]]:
        """See `EventSet.clip`."""
        number = self._number(place, passed)
        return super().clip(place, passed) if number is None else self.feeder((number, passed))

    def ahead(self, places: Sequence[int], passes: Sequence[int]) -> None:
        """See `EventSet.ahead`."""
        both = zip(places, passes, strict=True)
        numbered = [(self._number(place, passed), passed) for place, passed in both]
        self.feeder.ahead((number, passed) for number, passed in numbered if number is not None)

    def _number(self, place: int, passed: int) -> int | None:
        """The mixer's number of a clip that is mixed anew in this pass; None of any other."""
        return number_of(str(self.filenames[place])) if passed else None


def occurrence(strong: EventSet, clip_s: float) -> Occurrence | None:
    """How events occur in those strong clips, of so many seconds, that are not mixed; None without any."""
    named = zip(strong.filenames, strong.events, strict=True)
    return Occurrence.of([events for name, events in named if number_of(str(name)) is None], clip_s)
