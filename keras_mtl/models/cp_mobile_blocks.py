"""The blocks of CP-Mobile: inverted bottlenecks in three kinds (Surkov 2024, figure 1; Schmid et al. 2023)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import keras

from keras_mtl.models.conv_layer import batch_norm, conv_bn_relu
from keras_mtl.models.grn import GRN


@dataclass(frozen=True)
class Block:
    """One block.

    Attributes:
        expanded: channels between expansion and projection.
        channels: channels of the output.
        strides: (time, mel) strides of the depthwise convolution.
    """

    expanded: int
    channels: int
    strides: tuple[int, int] = (1, 1)


def divisible(channels: float, divisor: int = 8) -> int:
    """The multiple of `divisor` nearest to a channel count, never less than 90 % of it (Sandler et al. 2018)."""
    rounded = max(divisor, int(channels + divisor / 2) // divisor * divisor)
    return rounded if rounded >= 0.9 * channels else rounded + divisor


def cp_mobile_blocks(
    base_channels: int = 32,
    channels_multiplier: float = 1.8,
    expansion: float = 2.1,
    depths: tuple[int, ...] = (3, 2, 1),
    strides: dict[int, tuple[int, int]] | None = None,
) -> list[Block]:
    """The blocks of the public baseline's body.

    Args:
        base_channels: channels of the first stage.
        channels_multiplier: factor of the channels from stage to stage.
        expansion: expanded channels for each channel that a block is given.
        depths: blocks of each stage.
        strides: (time, mel) strides by the number of the block, counted from 1; by default block 3 halves the time
            and block 4 the mel axis.
    """
    strides = {3: (2, 1), 4: (1, 2)} if strides is None else strides
    blocks: list[Block] = []
    given = base_channels
    for stage, depth in enumerate(depths):
        for _ in range(depth):
            channels = divisible(base_channels * channels_multiplier**stage)
            stride = tuple(strides.get(len(blocks) + 1, (1, 1)))
            blocks.append(Block(divisible(given * expansion), channels, (stride[0], stride[1])))
            given = channels
    return blocks


def stem(x: Any, channels: int) -> Any:
    """Two strided convolutions to `channels` channels, a quarter of both axes: [batch, time / 4, mel / 4, channels]."""
    x = conv_bn_relu(x, channels // 4, strides=2, bias=False, name="stem_1")
    return conv_bn_relu(x, channels, strides=2, bias=False, name="stem_2")


def block(x: Any, settings: Block, number: int, grn: bool = False) -> Any:
    """ReLU([GRN](project(depthwise(expand(x))) + shortcut(x))), every convolution with batch normalisation.

    The shortcut is there where the channels match: x itself ("standard" block), or its 3 x 3 average in a strided block
    ("spatial downsampling"). A block that changes the channels ("transition") has none. At the edges the average is
    taken over what is there; the public source counts zeros in.

    Args:
        x: [batch, time, mel, channels].
        settings: widths and strides.
        number: of the block, for the names of its layers.
        grn: whether global response normalisation stands before the last ReLU, as in the paper's figure.

    Returns:
        [batch, ceil(time / stride), ceil(mel / stride), settings.channels].
    """
    name = f"b{number}"
    y = conv_bn_relu(x, settings.expanded, 1, bias=False, name=f"{name}_expand")
    y = keras.layers.DepthwiseConv2D(3, settings.strides, "same", use_bias=False, name=f"conv_{name}_depthwise")(y)
    y = keras.layers.ReLU(name=f"relu_{name}_depthwise")(batch_norm(y, f"{name}_depthwise"))
    y = keras.layers.Conv2D(settings.channels, 1, use_bias=False, name=f"conv_{name}_project")(y)
    y = batch_norm(y, f"{name}_project")
    if x.shape[-1] == settings.channels:
        shortcut = x
        if settings.strides != (1, 1):
            shortcut = keras.layers.AveragePooling2D(3, settings.strides, "same", name=f"{name}_shortcut")(x)
        y = keras.layers.Add(name=f"{name}_add")([y, shortcut])
    if grn:
        y = GRN(name=f"{name}_grn")(y)
    return keras.layers.ReLU(name=f"{name}_relu")(y)
