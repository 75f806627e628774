"""All steps on batches in their order, as the one object that a training algorithm holds."""

from __future__ import annotations

from typing import Any

import keras

from keras_mtl.augmentation.filter_augment import FilterAugment
from keras_mtl.augmentation.freq_mixstyle import FreqMixStyle
from keras_mtl.augmentation.mixup import Mixup
from keras_mtl.augmentation.time_roll import TimeRoll
from keras_mtl.recipes import AugmentSettings


@keras.saving.register_keras_serializable(package="keras_mtl")
class Augmentation(keras.layers.Layer):
    """What happens to a batch of one task before the network, in training only.

    1. Impulse responses of devices (`keras_mtl.features.copies`): in the audio, before the batch is made.
    2. Time roll: another start. Labels follow.
    3. Mixup: two clips in one. Labels follow.
    4. Freq-MixStyle, FilterAugment: another colour. Labels stay.
    5. Masking (`MultitaskModel.embed`): parts are hidden. Labels stay.

    The mean teacher's input is what the labels belong to, after step 3, as `teacher_log_mel`: the same sound as the
    student's, without the disturbances of steps 4 and 5. With the defaults a batch passes as it is.

    Args:
        mixup_alpha, scenes: see `Mixup`.
        roll_frames: largest shift, see `TimeRoll`.
        frames_per_embedding: frames that one row of the strong labels stands for.
        freq_mixstyle_probability, freq_mixstyle_alpha, freq_mixstyle_by_clip: see `FreqMixStyle`.
        seed: each step's own seed comes from it.
        filter_gain: see `FilterAugment`.
    """

    def __init__(
        self,
        mixup_alpha: float = 0.0,
        roll_frames: int = 0,
        frames_per_embedding: int = 4,
        freq_mixstyle_probability: float = 0.0,
        freq_mixstyle_alpha: float = 0.4,
        scenes: int = 0,
        seed: int = 0,
        freq_mixstyle_by_clip: bool = False,
        filter_gain: float = 0.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.seed = seed
        self.roll = TimeRoll(roll_frames, frames_per_embedding, seed=seed + 1001)
        self.mixup = Mixup(mixup_alpha, scenes, seed=seed + 1002)
        self.freq_mixstyle = FreqMixStyle(
            freq_mixstyle_probability, freq_mixstyle_alpha, seed=seed + 1003, by_clip=freq_mixstyle_by_clip
        )
        self.filter = FilterAugment(filter_gain, seed=seed + 1004)
        self.built = True

    @classmethod
    def of(
        cls,
        settings: AugmentSettings,
        frame_rate: float,
        frames_per_embedding: int,
        scenes: int,
        seed: int,
        std_db: float = 1.0,
    ) -> Augmentation:
        """The steps of a recipe; `std_db` is what its features are divided by."""
        return cls(
            mixup_alpha=settings.mixup_alpha,
            roll_frames=round(settings.roll_s * frame_rate),
            frames_per_embedding=frames_per_embedding,
            freq_mixstyle_probability=settings.freq_mixstyle_probability,
            freq_mixstyle_alpha=settings.freq_mixstyle_alpha,
            freq_mixstyle_by_clip=settings.freq_mixstyle_by == "clip",
            scenes=scenes,
            seed=seed,
            filter_gain=settings.filter_db / std_db,
        )

    def call(self, batch, training=False):  # type: ignore[no-untyped-def]
        """A batch of one task (see `MultitaskModel`) to the same keys, and those that the steps add."""
        batch = self.mixup(self.roll(batch, training=training), training=training)
        if not training or (self.freq_mixstyle.probability == 0.0 and self.filter.gain == 0.0):
            return batch
        mixed = self.filter(self.freq_mixstyle(batch["log_mel"], training=training), training=training)
        return {**batch, "teacher_log_mel": batch["log_mel"], "log_mel": mixed}

    def get_config(self) -> dict[str, Any]:
        """Every constructor argument."""
        return {
            **super().get_config(),
            "mixup_alpha": self.mixup.alpha,
            "roll_frames": self.roll.most_frames,
            "frames_per_embedding": self.roll.frames_per_embedding,
            "freq_mixstyle_probability": self.freq_mixstyle.probability,
            "freq_mixstyle_alpha": self.freq_mixstyle.alpha,
            "freq_mixstyle_by_clip": self.freq_mixstyle.by_clip,
            "scenes": self.mixup.scenes,
            "seed": self.seed,
            "filter_gain": self.filter.gain,
        }
