"""System `crnn`: the encoder of `mt` with the event decoder alone (Surkov 2024, figure 4 b)."""

from __future__ import annotations

from collections.abc import Sequence

import keras

from keras_mtl.models.encoder import CHANNELS, POOLS, build_encoder
from keras_mtl.models.event_head import build_event_head


def build_crnn(
    frames: int | None = None,
    mel_bands: int = 128,
    channels: Sequence[int] = CHANNELS,
    pools: Sequence[tuple[int, int]] = POOLS,
    recurrent_units: int = 128,
    recurrent_layers: int = 2,
    events: int = 10,
    bidirectional: bool = True,
    look_ahead: int = 0,
) -> keras.Model:
    """The event network: 627,652 parameters, 43.059 M MACs per second of audio. Inferred, as the encoder is.

    Args:
        frames: log-mel frames of the input, or None for any number.
        mel_bands: mel bands of the input.
        channels: output channels of the encoder's layers.
        pools: (time, mel) pools of the encoder's layers.
        recurrent_units: units of one direction of the GRU layers.
        recurrent_layers: GRU layers.
        events: number of event classes.
        bidirectional: whether the event decoder hears in both directions; else it is causal.
        look_ahead: embeddings that a causal decoder hears before it answers for one.

    Returns:
        A functional model "crnn": "log_mel" [batch, frames, mel_bands, 1] to {"strong": probabilities
        [batch, frames / 4, events], "weak": [batch, events]}, with the layers "encoder" and "event_head".
    """
    encoder = build_encoder(frames, mel_bands, channels, pools)
    _, embeddings, size = encoder.output_shape
    causal = {"bidirectional": bidirectional, "look_ahead": look_ahead}
    head = build_event_head(size, embeddings, recurrent_units, recurrent_layers, events, **causal)
    inputs = keras.Input((frames, mel_bands, 1), name="log_mel")
    return keras.Model(inputs, head(encoder(inputs)), name="crnn")
