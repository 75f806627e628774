"""System `mt`: one encoder and two decoders, for scenes and events at once (Surkov 2024, figure 4 c)."""

from __future__ import annotations

from collections.abc import Sequence

import keras

from keras_mtl.models.encoder import CHANNELS, POOLS, build_encoder
from keras_mtl.models.event_head import build_event_head
from keras_mtl.models.scene_head import build_scene_head


def build_mt(
    frames: int | None = None,
    mel_bands: int = 128,
    channels: Sequence[int] = CHANNELS,
    pools: Sequence[tuple[int, int]] = POOLS,
    attention_units: int = 16,
    recurrent_units: int = 128,
    recurrent_layers: int = 2,
    scenes: int = 10,
    events: int = 10,
    bidirectional: bool = True,
    look_ahead: int = 0,
) -> keras.Model:
    """The multitask network: 633,519 parameters, 43.157 M MACs per second of audio.

    The layers "encoder", "scene_head" and "event_head" are models of their own that `get_layer` takes out.

    Args:
        frames: log-mel frames of the input, or None for any number (1 s = 100 for scenes, 10 s = 1000 for events).
        mel_bands: mel bands of the input.
        channels: output channels of the encoder's layers.
        pools: (time, mel) pools of the encoder's layers.
        attention_units: width of the scene head's attention.
        recurrent_units: units of one direction of the event head's GRU layers.
        recurrent_layers: GRU layers of the event head.
        scenes: number of scenes.
        events: number of event classes.
        bidirectional: whether the event decoder hears in both directions; else it is causal.
        look_ahead: embeddings that a causal decoder hears before it answers for one.

    Returns:
        A functional model "mt": "log_mel" [batch, frames, mel_bands, 1] to a dict: "scenes" logits [batch, scenes],
        "strong" [batch, frames / 4, events] and "weak" [batch, events] probabilities.

    Example:
        >>> network = build_mt()
        >>> network.count_params() - 2 * sum((8, 8, 24, 32, 56, 56))  # without the moving statistics
        633519
    """
    encoder = build_encoder(frames, mel_bands, channels, pools)
    _, embeddings, size = encoder.output_shape
    scene_head = build_scene_head(size, embeddings, attention_units, scenes)
    causal = {"bidirectional": bidirectional, "look_ahead": look_ahead}
    event_head = build_event_head(size, embeddings, recurrent_units, recurrent_layers, events, **causal)
    inputs = keras.Input((frames, mel_bands, 1), name="log_mel")
    x = encoder(inputs)
    return keras.Model(inputs, {"scenes": scene_head(x), **event_head(x)}, name="mt")
