"""System `cp_mobile`: the public baseline of DCASE 2024 Task 1, a simplified CP-Mobile (Schmid et al. 2023)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import keras

from keras_mtl.models.batch_norm import batch_norm, conv_bn_relu
from keras_mtl.models.event_head import event_network
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


def build_cp_mobile(
    frames: int | None = 65,
    mel_bands: int = 256,
    base_channels: int = 32,
    channels_multiplier: float = 1.8,
    expansion: float = 2.1,
    depths: Sequence[int] = (3, 2, 1),
    strides: Mapping[int, tuple[int, int]] | None = None,
    grn: bool = False,
    *,
    scenes: int,
) -> keras.Model:
    """CP-Mobile: 61,148 parameters; 29,419,156 MACs per second as its source counts. Read from its public source.

    The source's convention ("nessi") adds batch normalisation, once, to weights x positions. On 128 mel bands and 100
    frames the same network takes 21,453,460.

    Args:
        frames: log-mel frames of the input, or None for any number.
        mel_bands: mel bands of the input.
        base_channels: channels of the first stage.
        channels_multiplier: factor of the channels from stage to stage.
        expansion: expanded channels for each channel that a block is given.
        depths: blocks of each stage.
        strides: (time, mel) strides by the number of the block, see `cp_mobile_blocks`.
        grn: global response normalisation after each block's shortcut, as in Surkov 2024, figure 1. The public baseline
            and the figures above are without.
        scenes: number of scenes.

    Returns:
        A functional model "cp_mobile": "log_mel" [batch, frames, mel_bands, 1] to {"scenes": logits [batch, scenes]}.
        The layer "encoder" is the body, [batch, frames / 8, mel_bands / 8, 104]; "scene_head" is a 1 x 1 convolution to
        the scenes and their mean over time and mel.
    """
    given = None if strides is None else {int(number): stride for number, stride in strides.items()}
    blocks = cp_mobile_blocks(base_channels, channels_multiplier, expansion, tuple(depths), given)
    inputs = keras.Input((frames, mel_bands, 1), name="log_mel")
    x = stem(inputs, base_channels)
    for number, settings in enumerate(blocks, start=1):
        x = block(x, settings, number, grn)
    encoder = keras.Model(inputs, x, name="encoder")

    maps = keras.Input(encoder.output_shape[1:], name="maps")
    x = keras.layers.Conv2D(scenes, 1, use_bias=False, name="conv_scenes")(maps)
    logits = keras.layers.GlobalAveragePooling2D(name="scene_logits")(batch_norm(x, "scenes"))
    head = keras.Model(maps, logits, name="scene_head")

    inputs = keras.Input((frames, mel_bands, 1), name="log_mel")
    return keras.Model(inputs, {"scenes": head(encoder(inputs))}, name="cp_mobile")


#: What stands between the body of `cp_mobile` and the recurrent layers. Inferred: it meets the paper's two totals.
LAST_BLOCKS = (Block(208, 72, (2, 2)), Block(144, 72))


def build_cp_mobile_rnn(
    frames: int | None = None,
    mel_bands: int = 128,
    base_channels: int = 32,
    last_blocks: Sequence[Block] = LAST_BLOCKS,
    recurrent_units: int = 128,
    grn: bool = False,
    *,
    events: int,
) -> keras.Model:
    """CP-Mobile-RNN: 966,092 parameters, 33.8 M MACs per second. Inferred: found by search to fit the paper's figures.

    Its grid is coarse, one embedding for 16 frames: the paper finds it weak at events.

    Args:
        frames: log-mel frames of the input, or None for any number.
        mel_bands: mel bands of the input.
        base_channels: channels of the first stage.
        last_blocks: the blocks after the body; each a `Block`, or its values (expanded, channels, (time, mel) strides).
        recurrent_units: units of one direction of the two GRU layers.
        grn: global response normalisation in every block.
        events: number of event classes.

    Returns:
        A functional model "cp_mobile_rnn": "log_mel" [batch, frames, mel_bands, 1] to {"strong": probabilities
        [batch, ceil(frames / 16), events], "weak": [batch, events]}, with the layers "encoder" and "event_head".
    """
    inputs = keras.Input((frames, mel_bands, 1), name="log_mel")
    x = stem(inputs, base_channels)
    blocks = [*cp_mobile_blocks(base_channels), *(Block(*_values(last)) for last in last_blocks)]
    for number, settings in enumerate(blocks, start=1):
        x = block(x, settings, number, grn)
    return event_network(inputs, x, "cp_mobile_rnn", events, recurrent_units=recurrent_units)


def _values(given: Block | Sequence) -> tuple:
    if isinstance(given, Block):
        return given.expanded, given.channels, given.strides
    return (*given[:2], *(tuple(strides) for strides in given[2:]))
