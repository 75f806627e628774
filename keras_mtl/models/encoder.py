"""The convolutional encoder that `mt`, `cnn` and `crnn` share: log-mel frames in, a sequence of embeddings out."""

from __future__ import annotations

import math
from collections.abc import Sequence

import keras

from keras_mtl.models.conv_layer import conv_bn_relu

#: Output channels and (time, mel) pools of the six layers. Inferred: found by search so that parameters and MACs meet
#: tables 2 and 3 of Surkov 2024; the paper prints the totals only.
CHANNELS = (8, 8, 24, 32, 56, 56)
POOLS = ((2, 2), (1, 2), (1, 2), (1, 2), (1, 1), (2, 2))


def build_encoder(
    frames: int | None = None,
    mel_bands: int = 128,
    channels: Sequence[int] = CHANNELS,
    pools: Sequence[tuple[int, int]] = POOLS,
) -> keras.Model:
    """Six times convolution 3 x 3 (same, with bias), batch normalisation, ReLU and max-pool.

    Args:
        frames: log-mel frames of the input, or None for any number.
        mel_bands: mel bands of the input.
        channels: output channels of each layer.
        pools: (time, mel) pool of each layer; (1, 1) is no pool.

    Returns:
        A functional model "encoder": [batch, frames, mel_bands, 1] to [batch, frames / 4, D], D = 224 by default:
        25 embeddings per second of audio, each over 4 frames.

    Raises:
        ValueError: channels and pools differ in length, or the pools use up the mel axis.
    """
    if len(channels) != len(pools):
        raise ValueError(f"{len(channels)} channel counts but {len(pools)} pools")
    if math.prod(pool[1] for pool in pools) > mel_bands:
        raise ValueError(f"the pools {tuple(pools)} leave nothing of {mel_bands} mel bands")
    inputs = keras.Input((frames, mel_bands, 1), name="log_mel")
    x = inputs
    for i, (width, pool) in enumerate(zip(channels, pools, strict=True), start=1):
        x = conv_bn_relu(x, width, name=str(i))
        if tuple(pool) != (1, 1):
            x = keras.layers.MaxPooling2D(pool, name=f"pool_{i}")(x)
    embeddings = keras.layers.Reshape((-1, x.shape[2] * x.shape[3]), name="embeddings")(x)
    return keras.Model(inputs, embeddings, name="encoder")
