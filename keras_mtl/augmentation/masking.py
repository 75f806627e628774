"""Masking: stripes of time and of mel bands that are hidden from the network."""

from __future__ import annotations

import keras
from keras import ops

from keras_mtl.augmentation.seeded import Seeded


@keras.saving.register_keras_serializable(package="keras_mtl")
class Masking(Seeded):
    """Zeroes a part of each axis of the log-mel features (Surkov 2024: 15 % of each axis).

    Each clip loses one stripe of `fraction` of its mel bands, and in every `period` frames one stripe of `fraction` of
    them, at places drawn anew each time. The time axis is masked period by period, so that a ten-second clip loses
    many short stretches instead of one long one that could swallow a labelled event whole. Zero is the mean of the
    normalised features.

    Args:
        fraction: part of each axis that is zeroed, 0 to 1.
        period: frames in which one time stripe lies; one second is meant.
        seed: seed of the places.
    """

    def __init__(self, fraction: float = 0.15, period: int = 100, seed: int = 0, **kwargs) -> None:  # type: ignore[no-untyped-def]
        super().__init__(seed=seed, **kwargs)
        if not 0.0 <= fraction < 1.0:
            raise ValueError(f"fraction {fraction} is not in [0, 1)")
        self.fraction = fraction
        self.period = period

    def call(self, log_mel, training=False):  # type: ignore[no-untyped-def]
        """[batch, frames, mel, 1] to the same shape."""
        if not training or self.fraction == 0.0:
            return log_mel
        batch, frames, bands = ops.shape(log_mel)[0], log_mel.shape[1], log_mel.shape[2]
        mel_kept = 1.0 - self._stripe(batch, 1, bands)
        time_kept = 1.0 - self._stripe(batch, -(-frames // self.period), self.period)[:, :frames]
        return log_mel * time_kept[:, :, None, None] * mel_kept[:, None, :, None]

    def _stripe(self, batch, periods: int, length: int):  # type: ignore[no-untyped-def]
        """1 where masked: [batch, periods x length], one stripe of `fraction` x length in each period."""
        width = round(self.fraction * length)
        start = keras.random.randint((batch, periods, 1), 0, length - width + 1, seed=self._seeds)
        position = ops.arange(length, dtype="int32")[None, None, :]
        inside = ops.logical_and(position >= start, position < start + width)
        return ops.reshape(ops.cast(inside, "float32"), (batch, periods * length))

    def get_config(self):  # type: ignore[no-untyped-def]
        """Every constructor argument."""
        return {**super().get_config(), "fraction": self.fraction, "period": self.period}
