"""System `baseline_asc`: the public baseline of DCASE 2022 and 2023 Task 1, a small convolutional scene classifier."""

from __future__ import annotations

from collections.abc import Sequence

import keras

from keras_mtl.models.batch_norm import conv_bn_relu


def build_baseline_asc(
    frames: int = 51,
    mel_bands: int = 40,
    channels: Sequence[int] = (16, 16, 32),
    kernel_size: int = 7,
    pools: Sequence[tuple[int, int]] = ((5, 5), (10, 4)),
    dense_units: int = 100,
    dropout: float = 0.3,
    *,
    scenes: int,
) -> keras.Model:
    """The DCASE scene baseline: 46,118 parameters, 29,203,560 MACs per second of audio. Read from its public source.

    Its authors print 29,234,920 MACs: they count the pools (34,560) and half of the first dense layer (-3,200). The
    65 k parameters of Surkov 2024 match its peak activations (two maps of 16 x 40 x 51 bytes, 65,280), not its
    parameters.

    The axes are (time, mel) as everywhere here, transposed from the source, and the last layer gives logits.

    Args:
        frames: log-mel frames of the input; fixed, because the dense layers see the flattened map.
        mel_bands: mel bands of the input.
        channels: output channels of the three convolutions.
        kernel_size: height and width of the kernels.
        pools: (time, mel) pools after the second and the third convolution.
        dense_units: width of the hidden dense layer.
        dropout: rate after each pool and the hidden layer.
        scenes: number of scenes.

    Returns:
        A functional model "baseline_asc": "log_mel" [batch, frames, mel_bands, 1] to {"scenes": logits
        [batch, scenes]}. The layer "encoder" ends with the flattened map, "scene_head" holds the dense layers.

    Raises:
        ValueError: not three channel counts and two pools, or pools that use up the input.
    """
    if len(channels) != 3 or len(pools) != 2:
        raise ValueError(f"{len(channels)} channel counts and {len(pools)} pools; this network has 3 and 2")
    for axis, size in enumerate((frames, mel_bands)):
        if size // pools[0][axis] < pools[1][axis]:
            raise ValueError(f"the pools {tuple(pools)} leave nothing of {frames} frames x {mel_bands} mel bands")
    inputs = keras.Input((frames, mel_bands, 1), name="log_mel")
    x = conv_bn_relu(inputs, channels[0], kernel_size, name="1")
    x = conv_bn_relu(x, channels[1], kernel_size, name="2")
    x = keras.layers.MaxPooling2D(tuple(pools[0]), name="pool_2")(x)
    x = keras.layers.Dropout(dropout, name="dropout_2")(x)
    x = conv_bn_relu(x, channels[2], kernel_size, name="3")
    x = keras.layers.MaxPooling2D(tuple(pools[1]), name="pool_3")(x)
    x = keras.layers.Dropout(dropout, name="dropout_3")(x)
    encoder = keras.Model(inputs, keras.layers.Flatten(name="embeddings")(x), name="encoder")

    embedding = keras.Input(encoder.output_shape[1:], name="embeddings")
    hidden = keras.layers.Dense(dense_units, activation="relu", name="hidden")(embedding)
    hidden = keras.layers.Dropout(dropout, name="dropout")(hidden)
    logits = keras.layers.Dense(scenes, name="scene_logits")(hidden)
    head = keras.Model(embedding, logits, name="scene_head")

    inputs = keras.Input((frames, mel_bands, 1), name="log_mel")
    return keras.Model(inputs, {"scenes": head(encoder(inputs))}, name="baseline_asc")
