"""Layers whose weights are fake-quantized as the file will hold them.

Each takes values and the step of their levels, and gives values and the steps of the integers they are accumulated in:
that of the input and that of the weights. Their product in float32 would be off by more than a kernel's multiplier is.
"""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from keras_mtl.tflite.qat.fake_quant import (
    SMALLEST_LIMIT,
    fake_quant_bias,
    fake_quant_per_channel,
    fake_quant_per_tensor,
)


def both_steps(one: Any, other: Any) -> Any:
    """Two steps, scalars or [channels], as [2] or [2, channels]."""
    other = tf.convert_to_tensor(other)
    return tf.stack([tf.broadcast_to(tf.cast(one, other.dtype), tf.shape(other)), other])


class _Weighted:
    """What the layers with weights have in common; it stands before the Keras layer among a class's bases."""

    def build(self: Any, inputs_shape: Any, input_step_shape: Any = None) -> None:
        """Makes the weights."""
        super().build(inputs_shape)  # type: ignore[misc]

    def accumulated(self: Any, outputs: Any, input_step: Any, steps: Any) -> tuple[Any, Any]:
        """Products with the weights, to what the kernel accumulates and both its steps."""
        bias = fake_quant_bias(tf.convert_to_tensor(self.bias), input_step * steps)
        # bias_add, and not the reshape and add of Keras: the converter fuses it with the convolution.
        return self.activation(tf.nn.bias_add(outputs, bias)), both_steps(input_step, steps)


@keras.saving.register_keras_serializable(package="keras_mtl")
class FakeQuantConv2D(_Weighted, keras.layers.Conv2D):
    """2-D convolution with 8-bit weights, one scale for each output channel: act(x * q(w) + q(b)).

    Takes the arguments of `keras.layers.Conv2D`; padding "same" or "valid", channels last, no groups, with bias.
    """

    def call(self, inputs: Any, input_step: Any) -> Any:
        """[batch, height, width, channels] and their step to [batch, height', width', filters] and both steps."""
        kernel, steps = fake_quant_per_channel(tf.convert_to_tensor(self.kernel))
        strides, dilations = list(self.strides), list(self.dilation_rate)
        outputs = tf.nn.convolution(inputs, kernel, strides, self.padding.upper(), dilations=dilations)
        return self.accumulated(outputs, input_step, steps)

    def compute_output_shape(self, inputs_shape: Any, input_step_shape: Any = None) -> Any:
        """[batch, height', width', filters] and [filters]."""
        return super().compute_output_shape(inputs_shape), (2, self.filters)


@keras.saving.register_keras_serializable(package="keras_mtl")
class FakeQuantDepthwiseConv2D(_Weighted, keras.layers.DepthwiseConv2D):
    """Depthwise 2-D convolution with 8-bit weights, one scale for each output channel: act(x * q(w) + q(b)).

    Args:
        kernel_size: as of `keras.layers.DepthwiseConv2D`.
        smallest_limit: no channel's levels end below it. A bias that is large beside its weights needs that, since its
            own levels are theirs times the input's, and must fit in 32 bits.
        **options: arguments of `keras.layers.DepthwiseConv2D`; padding "same" or "valid", channels last, with bias.
    """

    def __init__(self, kernel_size: Any, smallest_limit: float = SMALLEST_LIMIT, **options: Any) -> None:
        super().__init__(kernel_size, **options)
        self.smallest_limit = smallest_limit

    def call(self, inputs: Any, input_step: Any) -> Any:
        """[batch, height, width, channels] and their step to [batch, height', width', channels'] and both steps."""
        kernel = tf.convert_to_tensor(self.kernel)
        # The file has one scale for each output channel: input channel x multiplier.
        flat = tf.reshape(kernel, (*kernel.shape[:2], kernel.shape[2] * kernel.shape[3]))
        flat, steps = fake_quant_per_channel(flat, self.smallest_limit)
        quantized, strides, dilations = tf.reshape(flat, kernel.shape), [1, *self.strides, 1], list(self.dilation_rate)
        outputs = tf.nn.depthwise_conv2d(inputs, quantized, strides, self.padding.upper(), dilations=dilations)
        return self.accumulated(outputs, input_step, steps)

    def compute_output_shape(self, inputs_shape: Any, input_step_shape: Any = None) -> Any:
        """[batch, height', width', channels'] and [channels']."""
        shape = super().compute_output_shape(inputs_shape)
        return shape, (2, shape[-1])

    def get_config(self) -> dict[str, Any]:
        """All constructor arguments."""
        return {**super().get_config(), "smallest_limit": self.smallest_limit}


@keras.saving.register_keras_serializable(package="keras_mtl")
class FakeQuantDense(_Weighted, keras.layers.Dense):
    """Dense layer with 8-bit weights of one scale: act(x q(W) + q(b)).

    Takes the arguments of `keras.layers.Dense`; with bias. The activation is None or "relu", which the file's operator
    has in it; before any other, the output must be fake-quantized.
    """

    def call(self, inputs: Any, input_step: Any, training: Any = None) -> Any:
        """[..., features] and their step to [..., units] and both steps."""
        kernel, step = fake_quant_per_tensor(tf.convert_to_tensor(self.kernel))
        return self.accumulated(tf.matmul(inputs, kernel), input_step, step)

    def compute_output_shape(self, inputs_shape: Any, input_step_shape: Any = None) -> Any:
        """[..., units] and that of a scalar."""
        return (*inputs_shape[:-1], self.units), (2,)


@keras.saving.register_keras_serializable(package="keras_mtl")
class WeightedMean(keras.layers.Layer):
    """Mean of embeddings with given weights, as a matrix product: sum_t a_t e_t.

    One BATCH_MATMUL in the file: engines agree on it, while they differ by hundreds of steps on a 16-bit SUM.
    """

    def call(self, inputs: Any, weights: Any, input_step: Any, weight_step: Any) -> Any:
        """Embeddings [batch, time, size] and weights [batch, 1, time] to [batch, 1, size]; with the steps of each."""
        return tf.matmul(weights, inputs), tf.convert_to_tensor(input_step) * weight_step

    def compute_output_shape(self, inputs_shape: Any, weights_shape: Any, **steps: Any) -> Any:
        """[batch, 1, size] and that of a scalar."""
        return (inputs_shape[0], 1, inputs_shape[2]), ()
