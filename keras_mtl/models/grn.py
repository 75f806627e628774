"""Global response normalisation, in operators that an integer file can hold."""

from __future__ import annotations

from typing import Any

import keras

#: Keeps the reciprocal square root of a silent channel finite; far below what float32 resolves beside real channels.
_SMALLEST_MEAN_SQUARE = 1e-24


@keras.saving.register_keras_serializable(package="keras_mtl")
class GRN(keras.layers.Layer):
    """Global response normalisation: channels compete by their energy over the whole map.

        n_c = ||x_c|| / (mean_k ||x_k|| + epsilon);   y = gamma x n + beta + x

    ||x_c|| is the L2 norm of channel c over time and mel. Woo et al. 2023, "ConvNeXt V2"; in CP-Mobile it sits after
    the residual add and before the ReLU (Surkov 2024, figure 1).

    The norms are computed as products, means and reciprocal square roots: squares, roots and quotients have no integer
    kernels on all engines. gamma and beta start at 0, so that the layer starts as the identity.

    Args:
        epsilon: keeps the quotient finite where the whole map is silent.
        **options: options of `keras.layers.Layer`.

    Example:
        >>> GRN()(np.ones((2, 65, 256, 8), "float32")).shape
        TensorShape([2, 65, 256, 8])
    """

    def __init__(self, epsilon: float = 1e-6, **options: Any) -> None:
        super().__init__(**options)
        self.epsilon = epsilon

    def build(self, input_shape: Any) -> None:
        """Makes gamma and beta, one of each for every channel."""
        channels = (input_shape[-1],)
        self.gamma = self.add_weight(shape=channels, initializer="zeros", name="gamma")
        self.beta = self.add_weight(shape=channels, initializer="zeros", name="beta")
        super().build(input_shape)

    def call(self, inputs: Any) -> Any:
        """[batch, time, mel, channels] to the same."""
        ops = keras.ops
        mean_square = ops.mean(inputs * inputs, axis=(1, 2), keepdims=True)
        # Root mean squares instead of norms: the number of positions cancels, but for epsilon.
        root = mean_square * ops.rsqrt(mean_square + _SMALLEST_MEAN_SQUARE)
        positions = ops.cast(ops.shape(inputs)[1] * ops.shape(inputs)[2], inputs.dtype)
        reciprocal_root = ops.rsqrt(ops.mean(root, axis=-1, keepdims=True) + self.epsilon * ops.rsqrt(positions))
        normalised = root * reciprocal_root * reciprocal_root
        return inputs * (self.gamma * normalised + 1.0) + self.beta

    def compute_output_shape(self, input_shape: Any) -> Any:
        """The input's shape."""
        return input_shape

    def get_config(self) -> dict[str, Any]:
        """All constructor arguments."""
        return {**super().get_config(), "epsilon": self.epsilon}
