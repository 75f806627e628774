"""Event clips of own sounds that are mixed anew for every pass over them."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from keras_mtl.core import LogMelSettings
from keras_mtl.decoding import Event
from keras_mtl.features.log_mel import shared_log_mel
from keras_mtl.features.sets import EventSet

_MIXED = "mixed/"


class ClipMixer(Protocol):
    """What mixes clips: see `keras_mtl.datasets.own.Mixer`."""

    def clip(self, number: int, mix: int = 0) -> tuple[np.ndarray, list[Event]]:
        """A clip: int16 [samples], and its events."""


@dataclass(frozen=True)
class FreshMixtures(EventSet):
    """A set of which the mixed clips are other ones in each pass; those of pass 0 are those of the set.

    Attributes:
        mixer: what mixes them.
        settings: the features, before their normalisation.
    """

    mixer: ClipMixer
    settings: LogMelSettings

    @classmethod
    def of(cls, clips: EventSet, mixer: ClipMixer, settings: LogMelSettings) -> FreshMixtures:
        """The same clips, mixed anew in later passes."""
        return cls(clips.log_mel, clips.events, clips.weak, clips.filenames, mixer, settings)

    def clip(self, place: int, passed: int) -> tuple[np.ndarray, Sequence[Event]]:
        """See `EventSet.clip`."""
        name = str(self.filenames[place])
        if not passed or not name.startswith(_MIXED):
            return super().clip(place, passed)
        audio, events = self.mixer.clip(int(name.rpartition("-")[2]), passed)
        return self._log_mel(audio[None])[0].astype(np.float16), events

    @functools.cached_property
    def _log_mel(self):  # type: ignore[no-untyped-def]
        return shared_log_mel(self.settings)
