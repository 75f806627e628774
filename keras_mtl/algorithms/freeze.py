"""FreezeMTL, second phase: a decoder learns on an encoder that stays as it is (Surkov 2024, figure 5 d)."""

from __future__ import annotations

from typing import Any

import keras

from keras_mtl.algorithms.single import SingleTask


@keras.saving.register_keras_serializable(package="keras_mtl")
class FreezeMTL(SingleTask):
    """L = L_task over the decoder of `task` only: theta_encoder and the other decoder are constants.

    That is `SingleTask` with an `encoder_rate` of 0, whatever the one given. The encoder, batch normalisation's
    statistics and affine part included, and the other decoder keep every bit.
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

    def __init__(self, network: keras.Model, task: str = "events", **kwargs: Any) -> None:
        super().__init__(network, task, **{**kwargs, "encoder_rate": 0.0})
