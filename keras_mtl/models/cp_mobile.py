"""System `cp_mobile`: the public baseline of DCASE 2024 Task 1, a simplified CP-Mobile (Schmid et al. 2023)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import keras

from keras_mtl.models.conv_layer import batch_norm
from keras_mtl.models.cp_mobile_blocks import block, cp_mobile_blocks, stem


def build_cp_mobile(
    frames: int | None = 65,
    mel_bands: int = 256,
    base_channels: int = 32,
    channels_multiplier: float = 1.8,
    expansion: float = 2.1,
    depths: Sequence[int] = (3, 2, 1),
    strides: Mapping[int, tuple[int, int]] | None = None,
    grn: bool = False,
    scenes: int = 10,
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
