"""Noise on embeddings that were computed before, where log-mel can't be augmented any more."""

from __future__ import annotations

import keras
from keras import ops

from keras_mtl.augmentation.seeded import Seeded


@keras.saving.register_keras_serializable(package="keras_mtl")
class EmbeddingNoise(Seeded):
    """Each clip loses a part of the embeddings' channels for its whole length, and gets normal noise in the others.

    Args:
        dropout: probability that a clip loses a channel; the others are raised by 1 / (1 - dropout).
        noise: deviation of the noise, in deviations of its channel over the batch.
        seed: seed of the draws.
    """

    def __init__(self, dropout: float = 0.1, noise: float = 0.1, seed: int = 0, **kwargs) -> None:  # type: ignore[no-untyped-def]
        super().__init__(seed=seed, **kwargs)
        self.dropout, self.noise = dropout, noise

    def call(self, embeddings, training=False):  # type: ignore[no-untyped-def]
        """[clips, time, channels, 1] to the same shape."""
        if not training:
            return embeddings
        clips, channels = ops.shape(embeddings)[0], embeddings.shape[2]
        if self.noise:
            deviation = self.noise * ops.std(embeddings, axis=(0, 1), keepdims=True)
            embeddings += deviation * keras.random.normal(ops.shape(embeddings), seed=self._seeds)
        if self.dropout:
            kept = keras.random.uniform((clips, 1, channels, 1), seed=self._seeds) >= self.dropout
            embeddings = embeddings * ops.cast(kept, "float32") / (1.0 - self.dropout)
        return embeddings

    def get_config(self):  # type: ignore[no-untyped-def]
        """Every constructor argument."""
        return {**super().get_config(), "dropout": self.dropout, "noise": self.noise}
