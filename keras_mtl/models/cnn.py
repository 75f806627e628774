"""System `cnn`: the encoder of `mt` with the scene decoder alone (Surkov 2024, figure 4 a)."""

from __future__ import annotations

from collections.abc import Sequence

import keras

from keras_mtl.models.encoder import CHANNELS, POOLS, build_encoder
from keras_mtl.models.scene_head import build_scene_head


def build_cnn(
    frames: int | None = None,
    mel_bands: int = 128,
    channels: Sequence[int] = CHANNELS,
    pools: Sequence[tuple[int, int]] = POOLS,
    attention_units: int = 16,
    scenes: int = 10,
) -> keras.Model:
    """The scene network: 60,059 parameters, 28.898 M MACs per second of audio. Inferred, as the encoder is.

    Args:
        frames: log-mel frames of the input, or None for any number.
        mel_bands: mel bands of the input.
        channels: output channels of the encoder's layers.
        pools: (time, mel) pools of the encoder's layers.
        attention_units: width of the scene head's attention.
        scenes: number of scenes.

    Returns:
        A functional model "cnn": "log_mel" [batch, frames, mel_bands, 1] to {"scenes": logits [batch, scenes]}, with
        the layers "encoder" and "scene_head".
    """
    encoder = build_encoder(frames, mel_bands, channels, pools)
    _, embeddings, size = encoder.output_shape
    head = build_scene_head(size, embeddings, attention_units, scenes)
    inputs = keras.Input((frames, mel_bands, 1), name="log_mel")
    return keras.Model(inputs, {"scenes": head(encoder(inputs))}, name="cnn")
