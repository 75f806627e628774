"""The group `data` of a recipe: which clips are made of a user's data, and how many. Imports nothing heavy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from msgspec import Meta

from keras_mtl.datasets.tables import WHOLE

#: Of a clip: a minute at a time is more than the RAM of any board here holds.
Seconds = Annotated[float, Meta(ge=0.1, le=60)]
Share = Annotated[float, Meta(ge=0, lt=1)]


@dataclass(frozen=True)
class DataSettings:
    """The data.

    Attributes:
        scene_subset: how much of TAU's training split is trained on, in per cent: one of the subsets of DCASE 2024
            (5, 10, 25, 50), whose tables must be there, or all of it (100).
        scene_clip_s: seconds of a scene clip, and so of one inference of the scenes.
        event_clip_s: seconds of an event clip.
        seen_devices: devices whose scene clips count as "seen" in the figures: those of TAU's training split.
        test_fraction: of a folder of own sounds without `split.tsv`: part of each class's recordings that is held out
            for the test.
        held_out_fraction: of a folder of own sounds: part of the training recordings of isolated sounds that the
            clips are mixed from on which the best epoch is chosen; 0 for none.
        split_seed: which recordings those are.
        mixed_clips: event clips that are mixed from the isolated sounds of a folder of own sounds, for the test a
            quarter as many; or from DESED's soundbank.
        soundbank: whether to train on clips that are mixed from DESED's soundbank as well.
        mix_seed: of these mixtures.
        fresh_mixtures: whether the training clips are mixed anew for every pass over them, those of DESED's soundbank,
            where there is one, too.
        vary: whether the sounds of the training mixtures are played at other speeds and through other equalisers each
            time, and some backgrounds backwards.
        snr_low_db, snr_high_db: ends of the range of an event's level above its background, in a mixture.
    """

    scene_subset: Literal[5, 10, 25, 50, 100] = WHOLE
    scene_clip_s: Seconds = 1.0
    event_clip_s: Seconds = 10.0
    seen_devices: tuple[str, ...] = ("a", "b", "c", "s1", "s2", "s3")
    test_fraction: Share = 0.25
    held_out_fraction: Share = 0.15
    split_seed: Annotated[int, Meta(ge=0)] = 0
    mixed_clips: Annotated[int, Meta(ge=0)] = 400
    soundbank: bool = False
    mix_seed: Annotated[int, Meta(ge=0)] = 0
    fresh_mixtures: bool = False
    vary: bool = False
    snr_low_db: float = 0.0
    snr_high_db: float = 25.0

    @property
    def snr_db(self) -> tuple[float, float]:
        """The range of an event's level above its background."""
        return self.snr_low_db, max(self.snr_low_db, self.snr_high_db)

    @property
    def mixes_soundbank(self) -> bool:
        """Whether clips are mixed from DESED's soundbank."""
        return (self.soundbank or self.fresh_mixtures) and self.mixed_clips > 0
