"""The scene decoder: attention over time, then a linear layer (Surkov 2024, figure 4 a)."""

from __future__ import annotations

import keras


def build_scene_head(
    embedding_size: int, scenes: int, embeddings: int | None = None, attention_units: int = 16
) -> keras.Model:
    """Weighted mean of the embeddings e_t, then a linear layer.

    a = softmax_t(v . tanh(W e_t + b) + c);  logits = U sum_t a_t e_t + d

    Args:
        embedding_size: values of one embedding.
        scenes: number of scenes.
        embeddings: embeddings of the input, or None for any number.
        attention_units: width of the hidden layer of the attention.

    Returns:
        A functional model "scene_head": [batch, embeddings, embedding_size] to logits [batch, scenes].
    """
    inputs = keras.Input((embeddings, embedding_size), name="embeddings")
    hidden = keras.layers.Dense(attention_units, activation="tanh", name="attention_hidden")(inputs)
    score = keras.layers.Dense(1, name="attention_score")(hidden)
    weights = keras.layers.Softmax(axis=1, name="attention")(score)
    pooled = keras.layers.Dot(axes=(1, 1), name="weighted_mean")([weights, inputs])
    pooled = keras.layers.Reshape((embedding_size,), name="pooled")(pooled)
    logits = keras.layers.Dense(scenes, name="scene_logits")(pooled)
    return keras.Model(inputs, logits, name="scene_head")


def build_scene_part(network: keras.Model, frames: int = 100) -> keras.Model:
    """Takes encoder and scene head out of a network. The layers and weights are the network's own, not copies.

    Args:
        network: functional network with the layers "encoder" and "scene_head".
        frames: log-mel frames of the input, those of a scene clip; 100 are one second.

    Returns:
        A functional model "scene_part": "log_mel" [batch, frames, mel_bands, 1] to logits [batch, scenes].
    """
    encoder, head = network.get_layer("encoder"), network.get_layer("scene_head")
    inputs = keras.Input((frames, *encoder.input_shape[2:]), name="log_mel")
    return keras.Model(inputs, head(encoder(inputs)), name="scene_part")
