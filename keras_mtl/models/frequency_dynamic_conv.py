"""Frequency-dynamic convolution (Nam et al. 2022): every mel band weighs several kernels in its own way."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops


def frequency_dynamic_conv(x: Any, filters: int, name: str, kernels: int = 4, temperature: float = 31.0) -> Any:
    """y(t, f) = sum_k a_k(f) (W_k * x)(t, f), a(f) = softmax_k(g(mean_t x)(f) / temperature).

    g is a convolution of size 3 along the mel axis to a quarter of the channels (at least 4), batch normalisation, ReLU
    and one of size 1 to the kernels, as in the public source. The kernels have no bias.

    Args:
        x: [batch, time, mel, channels].
        filters: output channels.
        name: beginning of the layers' names.
        kernels: number of kernels K.
        temperature: of the softmax; a high one keeps the kernels alike at first.

    Returns:
        [batch, time, mel, filters].
    """
    hidden = max(x.shape[-1] // 4, 4)
    g = TimeMean(name=f"{name}_time_mean")(x)
    g = keras.layers.Conv1D(hidden, 3, padding="same", use_bias=False, name=f"{name}_attention_1")(g)
    g = keras.layers.BatchNormalization(name=f"{name}_attention_bn")(g)
    g = keras.layers.ReLU(name=f"{name}_attention_relu")(g)
    g = keras.layers.Conv1D(kernels, 1, name=f"{name}_attention_2")(g)
    y = keras.layers.Conv2D(kernels * filters, 3, padding="same", use_bias=False, name=f"{name}_kernels")(x)
    return KernelMixture(kernels, temperature, name=name)([y, g])


@keras.saving.register_keras_serializable(package="keras_mtl")
class TimeMean(keras.layers.Layer):
    """Mean over time: [batch, time, mel, channels] to [batch, mel, channels]."""

    def call(self, x):  # type: ignore[no-untyped-def]
        """The mean over axis 1."""
        return ops.mean(x, axis=1)

    def compute_output_shape(self, input_shape):  # type: ignore[no-untyped-def]
        """Drops the time axis."""
        return (input_shape[0], *input_shape[2:])


@keras.saving.register_keras_serializable(package="keras_mtl")
class KernelMixture(keras.layers.Layer):
    """Weighs the outputs of K kernels for every mel band: sum_k softmax_k(g(f) / temperature) y_k(t, f).

    Args:
        kernels: number of kernels K.
        temperature: of the softmax.
        **kwargs: options of `keras.layers.Layer`.
    """

    def __init__(self, kernels: int = 4, temperature: float = 31.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.kernels = kernels
        self.temperature = temperature

    def call(self, inputs):  # type: ignore[no-untyped-def]
        """y [batch, time, mel, K x filters] and g [batch, mel, K] to [batch, time, mel, filters]."""
        y, g = inputs
        weights = ops.softmax(g / self.temperature, axis=-1)
        parts = ops.split(y, self.kernels, axis=-1)
        return sum(part * weights[:, None, :, k : k + 1] for k, part in enumerate(parts))

    def compute_output_shape(self, input_shape):  # type: ignore[no-untyped-def]
        """A K-th of the channels of y."""
        *front, channels = input_shape[0]
        return (*front, channels // self.kernels)

    def get_config(self):  # type: ignore[no-untyped-def]
        """Every constructor argument."""
        return {**super().get_config(), "kernels": self.kernels, "temperature": self.temperature}
