"""System `fdy_lka`: the accuracy reference for events, far too large for a microcontroller (Surkov 2024, table 3)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras

from keras_mtl.models.batch_norm import batch_norm
from keras_mtl.models.event_head import event_network
from keras_mtl.models.frequency_dynamic_conv import frequency_dynamic_conv

CHANNELS = (32, 64, 128, 256, 256, 256, 256)
POOLS = ((2, 2), (2, 2), (1, 2), (1, 2), (1, 2), (1, 2), (1, 2))


def build_fdy_lka(
    frames: int | None = None,
    mel_bands: int = 128,
    channels: Sequence[int] = CHANNELS,
    pools: Sequence[tuple[int, int]] = POOLS,
    dynamic_layers: int = 2,
    kernels: int = 4,
    temperature: float = 31.0,
    recurrent_units: int = 256,
    recurrent_layers: int = 2,
    dropout: float = 0.5,
    *,
    events: int,
) -> keras.Model:
    """FDY-LKA: 9,015,004 parameters. Inferred on public parts: the FDY-CRNN and the visual attention network.

    Each layer: convolution 3 x 3 (frequency-dynamic in the last ones), batch normalisation, context gating,
    large-kernel attention, dropout, average pool. The paper prints "7.0 x 10^9 MACs" in a column of MACs per second;
    that fits ten seconds of this network. It is a teacher for distillation and never goes to a device.

    Args:
        frames: log-mel frames of the input, or None for any number.
        mel_bands: mel bands of the input.
        channels: output channels of the layers.
        pools: (time, mel) pool of each layer.
        dynamic_layers: how many of the last layers have frequency-dynamic convolutions.
        kernels: kernels of one frequency-dynamic convolution.
        temperature: of the softmax over the kernels.
        recurrent_units: units of one direction of the GRU layers.
        recurrent_layers: bidirectional GRU layers.
        dropout: rate after each layer, and before the frame classifier.
        events: number of event classes.

    Returns:
        A functional model "fdy_lka": "log_mel" [batch, frames, mel_bands, 1] to {"strong": probabilities
        [batch, frames / 4, events], "weak": [batch, events]}, with the layers "encoder" and "event_head".

    Raises:
        ValueError: channels and pools differ in length.
    """
    if len(channels) != len(pools):
        raise ValueError(f"{len(channels)} channel counts but {len(pools)} pools")
    inputs = keras.Input((frames, mel_bands, 1), name="log_mel")
    x = inputs
    for i, (width, pool) in enumerate(zip(channels, pools, strict=True), start=1):
        if i > len(channels) - dynamic_layers:
            x = frequency_dynamic_conv(x, width, f"conv_{i}", kernels, temperature)
        else:
            x = keras.layers.Conv2D(width, 3, padding="same", name=f"conv_{i}")(x)
        x = context_gating(batch_norm(x, str(i)), f"gating_{i}")
        x = large_kernel_attention(x, f"lka_{i}")
        x = keras.layers.Dropout(dropout, name=f"dropout_{i}")(x)
        x = keras.layers.AveragePooling2D(tuple(pool), name=f"pool_{i}")(x)
    return event_network(
        inputs,
        x,
        "fdy_lka",
        events,
        recurrent_units=recurrent_units,
        recurrent_layers=recurrent_layers,
        dropout=dropout,
    )


def large_kernel_attention(x: Any, name: str) -> Any:
    """y = x + P2 (u * A(u)), u = GELU(P1 x), A = 1x1 after depthwise 7x7 (dilation 3) after depthwise 5x5.

    P1 and P2 are 1 x 1 convolutions; together the depthwise ones see 23 x 23 places. All have a bias.

    Args:
        x: [batch, time, mel, channels].
        name: beginning of the layers' names.

    Returns:
        The same shape.
    """
    channels = x.shape[-1]
    u = keras.layers.Conv2D(channels, 1, name=f"{name}_in")(x)
    u = keras.layers.Activation("gelu", name=f"{name}_gelu")(u)
    a = keras.layers.DepthwiseConv2D(5, padding="same", name=f"{name}_near")(u)
    a = keras.layers.DepthwiseConv2D(7, padding="same", dilation_rate=3, name=f"{name}_far")(a)
    a = keras.layers.Conv2D(channels, 1, name=f"{name}_mix")(a)
    y = keras.layers.Multiply(name=f"{name}_product")([u, a])
    y = keras.layers.Conv2D(channels, 1, name=f"{name}_out")(y)
    return keras.layers.Add(name=name)([x, y])


def context_gating(x: Any, name: str) -> Any:
    """Context gating (Miech et al. 2017): x * sigmoid(W x + b), W over the channels: [..., channels] to the same."""
    gate = keras.layers.Dense(x.shape[-1], activation="sigmoid", name=f"{name}_gate")(x)
    return keras.layers.Multiply(name=name)([x, gate])
