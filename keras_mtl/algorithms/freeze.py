"""FreezeMTL, second phase: a decoder learns on an encoder that stays as it is (Surkov 2024, figure 5 d)."""

from __future__ import annotations

import keras
from keras import ops

from keras_mtl.algorithms.single import SingleTask


@keras.saving.register_keras_serializable(package="keras_mtl")
class FreezeMTL(SingleTask):
    """L = L_task over the decoder of `task` only: theta_encoder and the other decoder are constants.

    The encoder, batch normalisation's statistics and affine part included, and the other decoder keep every bit.
    FreezeMTL (SED, ASC) is `SingleTask("events")` to its end, then this with task "scenes"; FreezeMTL (ASC, SED) is the
    other order. The mean teacher of the event task then follows the decoder alone: its encoder is the frozen one.

    Args:
        network: functional network with the layers "encoder", "scene_head" and "event_head".
        task: "scenes" or "events": whose decoder is trained.
        **kwargs: see `SingleTask`.

    Example:
        >>> model = FreezeMTL(network_trained_on_events, task="scenes")
        >>> model.compile(optimizer=keras.optimizers.AdamW(1e-3))
    """

    def trained_variables(self) -> list[keras.Variable]:
        """The decoder's variables."""
        (head,) = self.heads.values()
        return list(head.trainable_variables)

    def embed(self, log_mel, training: bool):  # type: ignore[no-untyped-def]
        """Embeddings of the encoder in inference mode: its statistics do not move, and no gradient reaches it."""
        return ops.stop_gradient(self.encoder(log_mel, training=False))
