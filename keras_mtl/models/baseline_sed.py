"""System `baseline_sed`: the public baseline of DCASE 2023 Task 4, a convolutional recurrent network."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras

from keras_mtl.models.batch_norm import batch_norm
from keras_mtl.models.event_head import event_network

CHANNELS = (16, 32, 64, 128, 128, 128, 128)
POOLS = ((2, 2), (2, 2), (1, 2), (1, 2), (1, 2), (1, 2), (1, 2))


def build_baseline_sed(
    frames: int | None = None,
    mel_bands: int = 128,
    channels: Sequence[int] = CHANNELS,
    pools: Sequence[tuple[int, int]] = POOLS,
    recurrent_units: int = 128,
    recurrent_layers: int = 2,
    dropout: float = 0.5,
    *,
    events: int,
) -> keras.Model:
    """The DCASE event baseline: 1,112,420 parameters, 93 M MACs per second. Read from its public source.

    Its authors' counter ("thop") gives 930,901,932 for ten seconds of 626 frames: it also counts batch normalisation,
    pools, the gates of the GRU and the softmax.

    Args:
        frames: log-mel frames of the input, or None for any number.
        mel_bands: mel bands of the input.
        channels: output channels of the layers: convolution 3 x 3, batch normalisation, GLU, dropout, average pool.
        pools: (time, mel) pool of each layer.
        recurrent_units: units of one direction of the GRU layers.
        recurrent_layers: bidirectional GRU layers.
        dropout: rate after each gate, and before the frame classifier.
        events: number of event classes.

    Returns:
        A functional model "baseline_sed": "log_mel" [batch, frames, mel_bands, 1] to {"strong": probabilities
        [batch, frames / 4, events], "weak": [batch, events]}, with the layers "encoder" and "event_head".

    Raises:
        ValueError: channels and pools differ in length.
    """
    if len(channels) != len(pools):
        raise ValueError(f"{len(channels)} channel counts but {len(pools)} pools")
    inputs = keras.Input((frames, mel_bands, 1), name="log_mel")
    x = inputs
    for i, (width, pool) in enumerate(zip(channels, pools, strict=True), start=1):
        x = batch_norm(keras.layers.Conv2D(width, 3, padding="same", name=f"conv_{i}")(x), str(i))
        x = keras.layers.Dropout(dropout, name=f"dropout_{i}")(gated_linear_unit(x, f"glu_{i}"))
        x = keras.layers.AveragePooling2D(tuple(pool), name=f"pool_{i}")(x)
    return event_network(
        inputs,
        x,
        "baseline_sed",
        events,
        recurrent_units=recurrent_units,
        recurrent_layers=recurrent_layers,
        dropout=dropout,
    )


def gated_linear_unit(x: Any, name: str) -> Any:
    """GLU of the DESED baseline: (W x + b) * sigmoid(x), W over the channels: [..., channels] to the same shape."""
    linear = keras.layers.Dense(x.shape[-1], name=f"{name}_linear")(x)
    gate = keras.layers.Activation("sigmoid", name=f"{name}_sigmoid")(x)
    return keras.layers.Multiply(name=name)([linear, gate])
