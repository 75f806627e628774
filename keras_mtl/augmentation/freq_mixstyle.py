"""Freq-MixStyle (Schmid et al. 2022, after Kim et al. 2022): a clip with the spectral colour of another."""

from __future__ import annotations

import keras
from keras import ops

from keras_mtl.augmentation.seeded import Seeded, each_clip

_EPSILON = 1e-6


@keras.saving.register_keras_serializable(package="keras_mtl")
class FreqMixStyle(Seeded):
    """Mixes the mean and the standard deviation that each mel band has over time between the clips of a batch.

        x = (x_i - m_i) / d_i * (s d_i + (1 - s) d_j) + s m_i + (1 - s) m_j

    with m, d over time in each band, a share s by Beta(alpha, alpha) and a partner j drawn for each clip. Recording
    devices differ in just these statistics. A batch is mixed with the given probability, and else left as it is; or
    each of its clips for itself.

    Args:
        probability: that a batch is mixed, or a clip; 0 mixes nothing.
        alpha: of the Beta distribution.
        seed: seed of the draws.
        by_clip: whether each clip is drawn for itself.
    """

    def __init__(  # type: ignore[no-untyped-def]
        self, probability: float = 0.0, alpha: float = 0.4, seed: int = 0, by_clip: bool = False, **kwargs
    ) -> None:
        super().__init__(seed=seed, **kwargs)
        if not 0.0 <= probability <= 1.0:
            raise ValueError(f"probability {probability} is not in [0, 1]")
        if alpha <= 0.0:
            raise ValueError(f"alpha {alpha} is not above 0")
        self.probability = probability
        self.alpha = alpha
        self.by_clip = by_clip

    def call(self, log_mel, training=False):  # type: ignore[no-untyped-def]
        """[clips, frames, mel, 1] to the same shape."""
        if not training or self.probability == 0.0:
            return log_mel
        clips = ops.shape(log_mel)[0]
        shape = (clips, 1, 1, 1) if self.by_clip else ()
        chosen = keras.random.uniform(shape, seed=self._seeds) < self.probability
        partner = self.permutation(clips)
        share = self.beta(clips, self.alpha)
        share = each_clip(ops.where(ops.isnan(share), 1.0, share), log_mel)
        mean = ops.mean(log_mel, axis=1, keepdims=True)
        deviation = ops.sqrt(ops.mean(ops.square(log_mel - mean), axis=1, keepdims=True) + _EPSILON)
        new_mean = share * mean + (1.0 - share) * ops.take(mean, partner, axis=0)
        new_deviation = share * deviation + (1.0 - share) * ops.take(deviation, partner, axis=0)
        return ops.where(chosen, (log_mel - mean) / deviation * new_deviation + new_mean, log_mel)

    def get_config(self):  # type: ignore[no-untyped-def]
        """Every constructor argument."""
        own = {"probability": self.probability, "alpha": self.alpha, "by_clip": self.by_clip}
        return {**super().get_config(), **own}
