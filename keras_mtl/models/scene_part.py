"""The scene part of a multitask network: its encoder and scene head with a fixed input, as it goes to a device."""

from __future__ import annotations

import keras


def build_scene_part(network: keras.Model, frames: int = 100) -> keras.Model:
    """Takes encoder and scene head out of a network. The layers and weights are the network's own, not copies.

    Args:
        network: functional network with the layers "encoder" and "scene_head".
        frames: log-mel frames of the input; 100 are one second.

    Returns:
        A functional model "scene_part": "log_mel" [batch, frames, mel_bands, 1] to logits [batch, scenes].
    """
    encoder, head = network.get_layer("encoder"), network.get_layer("scene_head")
    inputs = keras.Input((frames, *encoder.input_shape[2:]), name="log_mel")
    return keras.Model(inputs, head(encoder(inputs)), name="scene_part")
