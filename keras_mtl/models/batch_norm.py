"""Batch normalisation as TensorFlow's one fused kernel: the same numbers as Keras's in a part of the time."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

_fused = tf.compat.v1.nn.fused_batch_norm


@keras.saving.register_keras_serializable(package="keras_mtl")
class FusedBatchNorm(keras.layers.BatchNormalization):
    """`keras.layers.BatchNormalization` over the last axis of [batch, height, width, channels].

    Keras 3 on TensorFlow builds it of single operations (mean, variance, multiply, add and their gradients), each of
    which goes through the whole map once. On the encoder of `mt` that was two fifths of a training step's forward and
    backward pass on a CPU. The fused kernel reads and writes the map as often as it must. Where it does not apply
    (statistics over several replicas, a mask, other ranks), Keras's own code runs.

    The arguments, weights and moving statistics are those of `keras.layers.BatchNormalization`; the moving variance is
    of the biased variance, as there.
    """

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        """[batch, height, width, channels] to the same shape."""
        if self.synchronized or self.renorm or mask is not None or len(inputs.shape) != 4 or self.axis not in (-1, 3):
            return super().call(inputs, training=training, mask=mask)
        channels = inputs.shape[-1]
        scale = tf.convert_to_tensor(self.gamma) if self.scale else tf.ones(channels)
        offset = tf.convert_to_tensor(self.beta) if self.center else tf.zeros(channels)
        if not (training and self.trainable):
            mean, variance = map(tf.convert_to_tensor, (self.moving_mean, self.moving_variance))
            return _fused(inputs, scale, offset, mean, variance, epsilon=self.epsilon, is_training=False)[0]
        outputs, mean, variance = _fused(inputs, scale, offset, epsilon=self.epsilon)
        values = tf.cast(tf.size(inputs) // channels, tf.float32)
        variance = variance * ((values - 1.0) / values)  # the kernel's is the unbiased one
        for moving, now in ((self.moving_mean, mean), (self.moving_variance, variance)):
            moving.assign(moving * self.momentum + now * (1.0 - self.momentum))
        return outputs


#: Keras's default of 0.99 needs many hundred steps to settle; short trainings have no more than that.
BATCH_NORM_MOMENTUM = 0.9


def conv_bn_relu(x: Any, filters: int, kernel_size: int = 3, *, strides: int = 1, bias: bool = True, name: str) -> Any:
    """Convolution ("same"), batch normalisation, ReLU: layers conv_NAME, bn_NAME and relu_NAME.

    Args:
        x: [batch, time, mel, channels].
        filters: output channels.
        kernel_size: height and width of the kernel.
        strides: of both axes.
        bias: whether the convolution has one. Sources differ, although batch normalisation makes it needless.
        name: end of the layers' names.

    Returns:
        [batch, ceil(time / strides), ceil(mel / strides), filters].
    """
    x = keras.layers.Conv2D(filters, kernel_size, strides, "same", use_bias=bias, name=f"conv_{name}")(x)
    return keras.layers.ReLU(name=f"relu_{name}")(batch_norm(x, name))


def batch_norm(x: Any, name: str) -> Any:
    """Batch normalisation over the channels: layer bn_NAME."""
    return FusedBatchNorm(momentum=BATCH_NORM_MOMENTUM, name=f"bn_{name}")(x)
