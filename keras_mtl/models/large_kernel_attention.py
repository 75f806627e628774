"""Large-kernel attention (Guo et al. 2022, the visual attention network): a wide kernel made of three small ones."""

from __future__ import annotations

from typing import Any

import keras


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
