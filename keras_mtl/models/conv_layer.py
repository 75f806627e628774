"""One layer of most encoders here: convolution, batch normalisation, ReLU."""

from __future__ import annotations

from typing import Any

import keras

from keras_mtl.models.batch_norm import FusedBatchNorm

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
