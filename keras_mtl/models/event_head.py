"""The event decoder: GRU layers, then frame and clip probabilities (Surkov 2024, figure 4 b).

The paper's layers are bidirectional and need the whole clip. A causal decoder goes forwards only, with a look-ahead of
a few embeddings: a device needs no memory but the states for it.
"""

from __future__ import annotations

from typing import Any

import keras


def build_event_head(
    embedding_size: int,
    events: int,
    embeddings: int | None = None,
    recurrent_units: int = 128,
    recurrent_layers: int = 2,
    dropout: float = 0.0,
    bidirectional: bool = True,
    look_ahead: int = 0,
) -> keras.Model:
    """Recurrent decoder with the attention pooling of the DESED baseline.

    strong_t = sigmoid(W h_t + b);  att_t = softmax over classes (V h_t + c);  weak = sum_t strong_t att_t / sum_t att_t

    h_t are the states of the last recurrent layer. With a look-ahead of a embeddings the classifiers read h_{t+a}
    instead, and at the end of a clip of T embeddings h_{T-1}, the last state that there is.

    Args:
        embedding_size: values of one embedding.
        events: number of event classes.
        embeddings: embeddings of the input, or None for any number.
        recurrent_units: units of one direction.
        recurrent_layers: GRU layers.
        dropout: rate before the frame classifier; 0 leaves the layer out.
        bidirectional: whether the layers go over the clip in both directions; else forwards only.
        look_ahead: later embeddings that a decoder going forwards takes before the output for one.

    Returns:
        A functional model "event_head": [batch, embeddings, embedding_size] to a dict of probabilities, "strong"
        [batch, embeddings, events] and "weak" [batch, events].

    Raises:
        ValueError: a look-ahead below 0, or one for a bidirectional decoder.
    """
    if look_ahead < 0 or (bidirectional and look_ahead):
        raise ValueError(f"look_ahead = {look_ahead} is for bidirectional = false, and at least 0")
    inputs = keras.Input((embeddings, embedding_size), name="embeddings")
    x = inputs
    for i in range(1, recurrent_layers + 1):
        layer = keras.layers.GRU(recurrent_units, return_sequences=True, name=f"gru_{i}")
        x = (keras.layers.Bidirectional(layer, name=f"bigru_{i}") if bidirectional else layer)(x)
    if look_ahead:
        x = LookAhead(look_ahead, name="look_ahead")(x)
    if dropout:
        x = keras.layers.Dropout(dropout, name="dropout")(x)
    strong = keras.layers.Dense(events, activation="sigmoid", name="strong")(x)
    attention = keras.layers.Dense(events, activation="softmax", name="event_attention")(x)
    weak = WeakPooling(name="weak")([strong, attention])
    return keras.Model(inputs, {"strong": strong, "weak": weak}, name="event_head")


@keras.saving.register_keras_serializable(package="keras_mtl")
class LookAhead(keras.layers.Layer):
    """Gives every embedding the states of a later one: y_t = x_{min(t + steps, T - 1)}.

    Args:
        steps: how much later, in embeddings.
        **options: options of `keras.layers.Layer`.
    """

    def __init__(self, steps: int, **options: Any) -> None:
        super().__init__(**options)
        self.steps = steps

    def call(self, inputs):  # type: ignore[no-untyped-def]
        """[batch, time, features] to the same shape."""
        later = keras.ops.concatenate([inputs[:, self.steps :], *[inputs[:, -1:]] * self.steps], axis=1)
        # Of a clip shorter than the look-ahead there are more copies than embeddings.
        known = inputs.shape[1]
        return later if known and known >= self.steps else later[:, : keras.ops.shape(inputs)[1]]

    def compute_output_shape(self, input_shape):  # type: ignore[no-untyped-def]
        """The shape of the input."""
        return input_shape

    def get_config(self) -> dict[str, Any]:
        """All constructor arguments."""
        return {**super().get_config(), "steps": self.steps}


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


def event_network(inputs: Any, maps: Any, name: str, events: int, **head: Any) -> keras.Model:
    """A network with the layers "encoder" and "event_head".

    Args:
        inputs: the encoder's `keras.Input`, [batch, frames, mel_bands, 1].
        maps: what its layers make of it, [batch, embeddings, mel, channels]; one row of time becomes one embedding.
        name: name of the network.
        events: number of event classes.
        **head: arguments of `build_event_head` besides the sizes.

    Returns:
        A functional model from "log_mel" to {"strong" [batch, embeddings, events], "weak" [batch, events]}.
    """
    embeddings = keras.layers.Reshape((-1, maps.shape[2] * maps.shape[3]), name="embeddings")(maps)
    encoder = keras.Model(inputs, embeddings, name="encoder")
    decoder = build_event_head(embeddings.shape[2], events, embeddings.shape[1], **head)
    log_mel = keras.Input(inputs.shape[1:], name="log_mel")
    return keras.Model(log_mel, decoder(encoder(log_mel)), name=name)


def build_event_part(network: keras.Model, frames: int = 1000) -> keras.Model:
    """Takes encoder and event head out of a network. The layers and weights are the network's own, not copies.

    Args:
        network: functional network with the layers "encoder" and "event_head".
        frames: log-mel frames of the input; 1000 are ten seconds at a hop of 10 ms.

    Returns:
        A functional model "event_part": "log_mel" [batch, frames, mel_bands, 1] to a dict of probabilities, "strong"
        [batch, embeddings, events] and "weak" [batch, events].
    """
    encoder, head = network.get_layer("encoder"), network.get_layer("event_head")
    inputs = keras.Input((frames, *encoder.input_shape[2:]), name="log_mel")
    outputs = head(encoder(inputs))
    return keras.Model(inputs, {"strong": outputs["strong"], "weak": outputs["weak"]}, name="event_part")
