"""A split of clips that are mixed as they are asked for: nothing of them is stored but what is made of them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from keras_mtl.core import Labels
from keras_mtl.datasets.mixing.mixer import Mixer
from keras_mtl.datasets.mixing.soundbank import Soundbank
from keras_mtl.datasets.prepare import DataSettings, clips

#: How the names of mixed clips begin; they end in "-" and the number that the mixer knows them by.
MIXED = "mixed/"
#: Changes whenever the same bank and settings give other mixtures.
_MIXING = 2
#: Sets the random numbers of these mixtures apart from those of own sounds.
_STREAM = 4


@dataclass(frozen=True)
class MixedClips:
    """Clips of the first pass of a mixer, as `prepare.Clips` gives those that are stored.

    Attributes:
        mixer: what mixes them.
        labels: the classes.
        count: number of clips.
        key: what is made of them is kept under this: it stands for the sounds, the labels and how they are mixed.
        name: data set and split.
    """

    mixer: Mixer
    labels: Labels
    count: int
    key: str
    name: str = "soundbank/strong_mixed"

    def __len__(self) -> int:
        return self.count

    def __iter__(self) -> Iterator[dict[str, Any]]:
        """Gives all clips, as `between` does."""
        return self.between(0, self.count)

    @property
    def clip_s(self) -> float:
        """Seconds of a clip."""
        return self.mixer.clip_s

    @property
    def sample_rate_hz(self) -> int:
        """Samples per second."""
        return self.mixer.sample_rate_hz

    def between(self, first: int, last: int) -> Iterator[dict[str, Any]]:
        """Gives the clips of these numbers: examples of `prepare.clips.event_features`."""
        for number in range(first, last):
            audio, events = self.mixer.clip(number)
            example = clips.event_example(self.labels, audio, events, (), filename=f"{MIXED}soundbank-{number:06d}")
            times = example["events"]
            example["events"] = {key: [each[key] for each in times] for key in ("onset_s", "offset_s", "label")}
            example["events"]["label"] = [self.labels.events.index(label) for label in example["events"]["label"]]
            yield example


def clips_of(bank: Soundbank, content: str, labels: Labels, settings: DataSettings, sample_rate_hz: int) -> MixedClips:
    """Clips mixed from a bank.

    Args:
        bank: what from.
        content: what stands for the content of all its recordings.
        labels: the classes.
        settings: how many clips, how long, and how they are mixed.
        sample_rate_hz: their rate.
    """
    mixer = Mixer(
        {label: [source.path for source in bank.events[label]] for label in sorted(bank.events)},
        [source.path for source in bank.backgrounds],
        settings.event_clip_s,
        sample_rate_hz,
        settings.snr_db,
        (settings.mix_seed, _STREAM),
        [source.path for source in bank.distractors],
        settings.vary,
        frozenset(source.path for source in bank.sources if not source.has_onset),
        frozenset(source.path for source in bank.sources if not source.has_offset),
    )
    drawn = [content, _MIXING, labels.digest, settings.mixed_clips, settings.mix_seed, *settings.snr_db, settings.vary]
    return MixedClips(mixer, labels, settings.mixed_clips, hashlib.sha256(json.dumps(drawn).encode()).hexdigest())


def number_of(filename: str) -> int | None:
    """The number that a mixer knows a clip by; None of a clip that is not mixed."""
    return int(filename.rpartition("-")[2]) if filename.startswith(MIXED) else None
