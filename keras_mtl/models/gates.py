"""The gates of the DESED networks: values times a sigmoid of values, with no activation besides."""

from __future__ import annotations

from typing import Any

import keras


def gated_linear_unit(x: Any, name: str) -> Any:
    """GLU of the DESED baseline: (W x + b) * sigmoid(x), W over the channels: [..., channels] to the same shape."""
    linear = keras.layers.Dense(x.shape[-1], name=f"{name}_linear")(x)
    gate = keras.layers.Activation("sigmoid", name=f"{name}_sigmoid")(x)
    return keras.layers.Multiply(name=name)([linear, gate])


def context_gating(x: Any, name: str) -> Any:
    """Context gating (Miech et al. 2017): x * sigmoid(W x + b), W over the channels: [..., channels] to the same."""
    gate = keras.layers.Dense(x.shape[-1], activation="sigmoid", name=f"{name}_gate")(x)
    return keras.layers.Multiply(name=name)([x, gate])
