"""System `cp_mobile_rnn`: the body of CP-Mobile with a recurrent event decoder (Surkov 2024, figure 3)."""

from __future__ import annotations

from collections.abc import Sequence

import keras

from keras_mtl.models.cp_mobile_blocks import Block, block, cp_mobile_blocks, stem
from keras_mtl.models.event_network import event_network

#: What stands between the body of `cp_mobile` and the recurrent layers. Inferred: it meets the paper's two totals.
LAST_BLOCKS = (Block(208, 72, (2, 2)), Block(144, 72))


def build_cp_mobile_rnn(
    frames: int | None = None,
    mel_bands: int = 128,
    base_channels: int = 32,
    last_blocks: Sequence[Block] = LAST_BLOCKS,
    recurrent_units: int = 128,
    grn: bool = False,
    events: int = 10,
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
    return event_network(inputs, x, "cp_mobile_rnn", recurrent_units=recurrent_units, events=events)


def _values(given: Block | Sequence) -> tuple:
    if isinstance(given, Block):
        return given.expanded, given.channels, given.strides
    return (*given[:2], *(tuple(strides) for strides in given[2:]))
