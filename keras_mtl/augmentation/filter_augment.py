"""FilterAugment (Nam et al. 2022, linear type): a clip through a random smooth filter."""

from __future__ import annotations

import keras
from keras import ops

from keras_mtl.augmentation.seeded import Seeded

_LEAST_BANDS, _MOST_BANDS = 3, 6
_EPSILON = 1e-3


@keras.saving.register_keras_serializable(package="keras_mtl")
class FilterAugment(Seeded):
    """Adds a gain to each mel band, the same over time, that is drawn for each clip.

    The bands are cut at random places into three to six parts. At their ends gains are drawn evenly from
    [-`gain`, `gain`], and in between they are joined by straight lines.

    Args:
        gain: the largest gain, in units of the features: decibels over the deviation they were divided by; 0 is off.
        seed: seed of the draws.
    """

    def __init__(self, gain: float = 0.0, seed: int = 0, **kwargs) -> None:  # type: ignore[no-untyped-def]
        super().__init__(seed=seed, **kwargs)
        if gain < 0.0:
            raise ValueError(f"gain {gain} is negative")
        self.gain = gain

    def call(self, log_mel, training=False):  # type: ignore[no-untyped-def]
        """[clips, frames, mel, 1] to the same shape."""
        if not training or self.gain == 0.0:
            return log_mel
        clips, mel = ops.shape(log_mel)[0], log_mel.shape[2]
        parts = keras.random.randint((clips, 1), _LEAST_BANDS, _MOST_BANDS + 1, seed=self._seeds)
        cuts = keras.random.uniform((clips, _MOST_BANDS - 1), seed=self._seeds)
        # Cuts that a clip does not have lie at the end, where they change nothing.
        cuts = ops.sort(ops.where(ops.arange(_MOST_BANDS - 1)[None, :] < parts - 1, cuts, 1.0), axis=1)
        ends = ops.pad(ops.pad(cuts, ((0, 0), (1, 0))), ((0, 0), (0, 1)), constant_values=1.0)
        gains = keras.random.uniform((clips, _MOST_BANDS + 1), -self.gain, self.gain, seed=self._seeds)
        at = ops.linspace(0.0, 1.0, mel)[None, None, :]
        start, width = ends[:, :-1, None], ops.maximum(ends[:, 1:] - ends[:, :-1], _EPSILON)[..., None]
        rises = (gains[:, 1:] - gains[:, :-1])[..., None] * ops.clip((at - start) / width, 0.0, 1.0)
        return log_mel + (gains[:, :1] + ops.sum(rises, axis=1))[:, None, :, None]

    def get_config(self):  # type: ignore[no-untyped-def]
        """Every constructor argument."""
        return {**super().get_config(), "gain": self.gain}
