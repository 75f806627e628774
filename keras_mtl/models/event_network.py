"""Puts the event decoder behind the maps of an encoder: the end of every system for events alone."""

from __future__ import annotations

from typing import Any

import keras

from keras_mtl.models.event_head import build_event_head


def event_network(inputs: Any, maps: Any, name: str, **head: Any) -> keras.Model:
    """A network with the layers "encoder" and "event_head".

    Args:
        inputs: the encoder's `keras.Input`, [batch, frames, mel_bands, 1].
        maps: what its layers make of it, [batch, embeddings, mel, channels]; one row of time becomes one embedding.
        name: name of the network.
        **head: arguments of `build_event_head` besides the sizes.

    Returns:
        A functional model from "log_mel" to {"strong" [batch, embeddings, events], "weak" [batch, events]}.
    """
    embeddings = keras.layers.Reshape((-1, maps.shape[2] * maps.shape[3]), name="embeddings")(maps)
    encoder = keras.Model(inputs, embeddings, name="encoder")
    decoder = build_event_head(embeddings.shape[2], embeddings.shape[1], **head)
    log_mel = keras.Input(inputs.shape[1:], name="log_mel")
    return keras.Model(log_mel, decoder(encoder(log_mel)), name=name)
