"""Takes the twin of a scene part apart: an encoder and a scene head of their own, as a network's twin has them.

A run that is quantized for the scenes only holds one graph of both. A device that hears a stream runs them one by one.
"""

from __future__ import annotations

from typing import Any

import keras

from keras_mtl.core import ConversionError
from keras_mtl.tflite.qat.event_head import INTERFACE
from keras_mtl.tflite.qat.fake_quant import FakeQuant
from keras_mtl.tflite.qat.scene_model import embeddings_range, is_one_graph, join_interface
from keras_mtl.tflite.qat.signals import EMBEDDINGS

_layers = keras.layers


def as_network(twin: keras.Model) -> keras.Model:
    """A quantized run's network with the layer "encoder" and those of its decoders.

    Args:
        twin: model of `build_qat`. That of a scene part is taken apart, its layers and levels are used, not copied; any
            other is given back as it is.

    Returns:
        A functional model from "log_mel" [batch, frames, mel_bands, 1], of a scene part to {"scenes": logits}. Its
        encoder takes any number of frames.

    Raises:
        ConversionError: a scene head that reads more of the encoder than its embeddings.
    """
    if not is_one_graph(twin) or all(layer.name != EMBEDDINGS for layer in twin.layers):
        return twin
    inputs, embeddings = twin.inputs[0], twin.get_layer(EMBEDDINGS).output
    both = keras.Model(inputs, embeddings)
    levels = embeddings_range(both)
    encoder = _encoder(both)
    head = _head(twin, embeddings, levels)
    log_mel = keras.Input(inputs.shape[1:], name="log_mel")
    network = keras.Model(log_mel, {"scenes": head(encoder(log_mel))}, name=twin.name)
    join_interface(network)
    return network


def _encoder(encoder: keras.Model) -> keras.Model:
    """The same for any number of frames: the graph was built for a second."""
    log_mel = keras.Input((None, *encoder.input_shape[2:]), name="log_mel")
    return keras.Model(log_mel, encoder._run_through_graph(log_mel, _of_any_length), name="encoder")


def _of_any_length(layer: Any) -> Any:
    if isinstance(layer, _layers.Reshape) and len(layer.target_shape) == 2:
        return _layers.Reshape((-1, layer.target_shape[-1]), name=layer.name)
    return layer


def _head(twin: keras.Model, embeddings: Any, levels: FakeQuant) -> keras.Model:
    """What comes after the embeddings; it is told their levels by a layer of its own."""
    _, step = levels.output
    try:
        graph = keras.Model([embeddings, step], twin.outputs[0])
    except ValueError:
        raise ConversionError(
            f"the scene head of {twin.name} reads more of the encoder than its embeddings, so they can't run apart"
        ) from None
    inputs = keras.Input(embeddings.shape[1:], name="embeddings")
    taken = FakeQuant(levels.bits, levels.symmetric, fixed=True, name=INTERFACE)(inputs)
    return keras.Model(inputs, graph._run_through_graph(list(taken), lambda layer: layer), name="scene_head")
