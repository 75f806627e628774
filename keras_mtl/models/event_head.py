"""The event decoder: two bidirectional GRU layers, then frame and clip probabilities (Surkov 2024, figure 4 b)."""

from __future__ import annotations

import keras


def build_event_head(
    embedding_size: int,
    embeddings: int | None = None,
    recurrent_units: int = 128,
    recurrent_layers: int = 2,
    events: int = 10,
    dropout: float = 0.0,
) -> keras.Model:
    """Recurrent decoder with the attention pooling of the DESED baseline.

    strong_t = sigmoid(W h_t + b);  att_t = softmax over classes (V h_t + c);  weak = sum_t strong_t att_t / sum_t att_t

    Args:
        embedding_size: values of one embedding.
        embeddings: embeddings of the input, or None for any number.
        recurrent_units: units of one direction.
        recurrent_layers: bidirectional layers.
        events: number of event classes.
        dropout: rate before the frame classifier; 0 leaves the layer out.

    Returns:
        A functional model "event_head": [batch, embeddings, embedding_size] to a dict of probabilities, "strong"
        [batch, embeddings, events] and "weak" [batch, events].
    """
    inputs = keras.Input((embeddings, embedding_size), name="embeddings")
    x = inputs
    for i in range(1, recurrent_layers + 1):
        cell = keras.layers.GRU(recurrent_units, return_sequences=True, name=f"gru_{i}")
        x = keras.layers.Bidirectional(cell, name=f"bigru_{i}")(x)
    if dropout:
        x = keras.layers.Dropout(dropout, name="dropout")(x)
    strong = keras.layers.Dense(events, activation="sigmoid", name="strong")(x)
    attention = keras.layers.Dense(events, activation="softmax", name="event_attention")(x)
    weak = WeakPooling(name="weak")([strong, attention])
    return keras.Model(inputs, {"strong": strong, "weak": weak}, name="event_head")


@keras.saving.register_keras_serializable(package="keras_mtl")
class WeakPooling(keras.layers.Layer):
    """Clip probabilities from frame probabilities: sum_t(strong * attention) / sum_t(attention), per class."""

    def call(self, inputs):  # type: ignore[no-untyped-def]
        """[batch, time, events] twice (strong, attention) to [batch, events]."""
        strong, attention = inputs
        return keras.ops.sum(strong * attention, axis=1) / keras.ops.sum(attention, axis=1)

    def compute_output_shape(self, input_shape):  # type: ignore[no-untyped-def]
        """Drops the time axis."""
        return (input_shape[0][0], input_shape[0][2])
