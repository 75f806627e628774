"""The event part of a network: its encoder and event head with a fixed input, as it is converted and counted."""

from __future__ import annotations

import keras


def build_event_part(network: keras.Model, frames: int = 1000) -> keras.Model:
    """Takes encoder and event head out of a network. The layers and weights are the network's own, not copies.

    Args:
        network: functional network with the layers "encoder" and "event_head".
        frames: log-mel frames of the input; 1000 are ten seconds at a hop of 10 ms.

    Returns:
        A functional model "event_part": "log_mel" [batch, frames, mel_bands, 1] to a dict of probabilities, "strong"
        [batch, embeddings, events] and "weak" [batch, events].
    """
    encoder, head = network.get_layer("encoder"), network.get_layer("event_head")
    inputs = keras.Input((frames, *encoder.input_shape[2:]), name="log_mel")
    outputs = head(encoder(inputs))
    return keras.Model(inputs, {"strong": outputs["strong"], "weak": outputs["weak"]}, name="event_part")
