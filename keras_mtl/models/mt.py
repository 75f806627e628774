"""Systems `mt`, `cnn` and `crnn`: one encoder with two decoders, or with one of them (Surkov 2024, figure 4)."""

from __future__ import annotations

import math
from collections.abc import Sequence

import keras

from keras_mtl.models.batch_norm import conv_bn_relu
from keras_mtl.models.event_head import build_event_head
from keras_mtl.models.scene_head import build_scene_head

#: Output channels and (time, mel) pools of the six layers. Inferred: found by search so that parameters and MACs meet
#: tables 2 and 3 of Surkov 2024; the paper prints the totals only.
CHANNELS = (8, 8, 24, 32, 56, 56)
POOLS = ((2, 2), (1, 2), (1, 2), (1, 2), (1, 1), (2, 2))


def build_encoder(
    frames: int | None = None,
    mel_bands: int = 128,
    channels: Sequence[int] = CHANNELS,
    pools: Sequence[tuple[int, int]] = POOLS,
) -> keras.Model:
    """Six times convolution 3 x 3 (same, with bias), batch normalisation, ReLU and max-pool.

    Args:
        frames: log-mel frames of the input, or None for any number.
        mel_bands: mel bands of the input.
        channels: output channels of each layer.
        pools: (time, mel) pool of each layer; (1, 1) is no pool.

    Returns:
        A functional model "encoder": [batch, frames, mel_bands, 1] to [batch, frames / 4, D], D = 224 by default:
        25 embeddings per second of audio, each over 4 frames.

    Raises:
        ValueError: channels and pools differ in length, or the pools use up the mel axis.
    """
    if len(channels) != len(pools):
        raise ValueError(f"{len(channels)} channel counts but {len(pools)} pools")
    if math.prod(pool[1] for pool in pools) > mel_bands:
        raise ValueError(f"the pools {tuple(pools)} leave nothing of {mel_bands} mel bands")
    inputs = keras.Input((frames, mel_bands, 1), name="log_mel")
    x = inputs
    for i, (width, pool) in enumerate(zip(channels, pools, strict=True), start=1):
        x = conv_bn_relu(x, width, name=str(i))
        if tuple(pool) != (1, 1):
            x = keras.layers.MaxPooling2D(pool, name=f"pool_{i}")(x)
    embeddings = keras.layers.Reshape((-1, x.shape[2] * x.shape[3]), name="embeddings")(x)
    return keras.Model(inputs, embeddings, name="encoder")


def build_mt(
    frames: int | None = None,
    mel_bands: int = 128,
    channels: Sequence[int] = CHANNELS,
    pools: Sequence[tuple[int, int]] = POOLS,
    attention_units: int = 16,
    recurrent_units: int = 128,
    recurrent_layers: int = 2,
    bidirectional: bool = True,
    look_ahead: int = 0,
    *,
    scenes: int,
    events: int,
) -> keras.Model:
    """The multitask network: 633,519 parameters, 43.157 M MACs per second of audio with ten classes of each task.

    The layers "encoder", "scene_head" and "event_head" are models of their own that `get_layer` takes out.

    Args:
        frames: log-mel frames of the input, or None for any number (1 s = 100 for scenes, 10 s = 1000 for events).
        mel_bands: mel bands of the input.
        channels: output channels of the encoder's layers.
        pools: (time, mel) pools of the encoder's layers.
        attention_units: width of the scene head's attention.
        recurrent_units: units of one direction of the event head's GRU layers.
        recurrent_layers: GRU layers of the event head.
        bidirectional: whether the event decoder is bidirectional; else it is causal.
        look_ahead: later embeddings that a causal decoder takes before the output for one.
        scenes: number of scenes; 0 leaves the scene decoder out.
        events: number of event classes; 0 leaves the event decoder out.

    Returns:
        A functional model "mt": "log_mel" [batch, frames, mel_bands, 1] to a dict: "scenes" logits [batch, scenes],
        "strong" [batch, frames / 4, events] and "weak" [batch, events] probabilities.

    Raises:
        ValueError: no class of either task.

    Example:
        >>> network = build_mt(scenes=10, events=10)
        >>> network.count_params() - 2 * sum((8, 8, 24, 32, 56, 56))  # without the moving statistics
        633519
    """
    if not scenes and not events:
        raise ValueError("neither scenes nor events")
    encoder = build_encoder(frames, mel_bands, channels, pools)
    _, embeddings, size = encoder.output_shape
    inputs = keras.Input((frames, mel_bands, 1), name="log_mel")
    x, outputs = encoder(inputs), {}
    if scenes:
        outputs["scenes"] = build_scene_head(size, scenes, embeddings, attention_units)(x)
    if events:
        head = build_event_head(
            size,
            events,
            embeddings,
            recurrent_units,
            recurrent_layers,
            bidirectional=bidirectional,
            look_ahead=look_ahead,
        )
        outputs |= head(x)
    return keras.Model(inputs, outputs, name="mt")


def build_cnn(
    frames: int | None = None,
    mel_bands: int = 128,
    channels: Sequence[int] = CHANNELS,
    pools: Sequence[tuple[int, int]] = POOLS,
    attention_units: int = 16,
    *,
    scenes: int,
) -> keras.Model:
    """The scene network: 60,059 parameters, 28.898 M MACs per second of audio. Inferred, as the encoder is.

    Args: as of `build_mt`.

    Returns:
        A functional model: "log_mel" [batch, frames, mel_bands, 1] to {"scenes": logits [batch, scenes]}, with the
        layers "encoder" and "scene_head".
    """
    network = build_mt(frames, mel_bands, channels, pools, attention_units, scenes=scenes, events=0)
    return keras.Model(network.input, network.output, name="cnn")


def build_crnn(
    frames: int | None = None,
    mel_bands: int = 128,
    channels: Sequence[int] = CHANNELS,
    pools: Sequence[tuple[int, int]] = POOLS,
    recurrent_units: int = 128,
    recurrent_layers: int = 2,
    bidirectional: bool = True,
    look_ahead: int = 0,
    *,
    events: int,
) -> keras.Model:
    """The event network: 627,652 parameters, 43.059 M MACs per second of audio. Inferred, as the encoder is.

    Args: as of `build_mt`.

    Returns:
        A functional model: "log_mel" [batch, frames, mel_bands, 1] to {"strong": probabilities
        [batch, frames / 4, events], "weak": [batch, events]}, with the layers "encoder" and "event_head".
    """
    network = build_mt(
        frames,
        mel_bands,
        channels,
        pools,
        recurrent_units=recurrent_units,
        recurrent_layers=recurrent_layers,
        bidirectional=bidirectional,
        look_ahead=look_ahead,
        scenes=0,
        events=events,
    )
    return keras.Model(network.input, network.output, name="crnn")
