"""The event decoder alone, on embeddings of a frozen encoder that were computed before."""

from __future__ import annotations

from typing import Any

import keras

from keras_mtl.algorithms.freeze import FreezeMTL
from keras_mtl.augmentation import EmbeddingNoise


@keras.saving.register_keras_serializable(package="keras_mtl")
class FrozenEvents(FreezeMTL):
    """`FreezeMTL` of the events whose batches hold embeddings [b, embeddings, D, 1] under "log_mel".

    A step costs a tenth: the encoder is not computed. What augments log-mel can't, so embeddings are disturbed instead:
    a clip loses channels, and gets noise. There is no mean teacher; it would need the unlabelled clips' embeddings for
    a term that is small where the encoder does not learn.

    Args:
        network: see `FreezeMTL`.
        embedding_dropout, embedding_noise: see `EmbeddingNoise`.
        **kwargs: see `SingleTask`.
    """

    def __init__(
        self, network: keras.Model, embedding_dropout: float = 0.1, embedding_noise: float = 0.1, **kwargs: Any
    ) -> None:
        super().__init__(network, **{**kwargs, "task": "events", "consistency_weight": 0.0})
        self.masking = EmbeddingNoise(embedding_dropout, embedding_noise, self.seed)

    def embed(self, log_mel, training: bool):  # type: ignore[no-untyped-def]
        """The embeddings that the batch holds."""
        return log_mel[..., 0]

    def get_config(self) -> dict[str, Any]:
        """Every constructor argument."""
        own = {"embedding_dropout": self.masking.dropout, "embedding_noise": self.masking.noise}
        return {**super().get_config(), **own}
