"""Builds the quantization-aware twin of the scene part: encoder and scene head on one second of audio.

The twin is a functional Keras model. The float network's layers are walked in the order of computation; what is one
operator in the file (convolution, batch normalisation and ReLU; sum and ReLU) becomes one layer and one range. Which
layers have a twin, `TWINS` says.
"""

from __future__ import annotations

from collections.abc import Callable

import keras

from keras_mtl.models.grn import GRN
from keras_mtl.tflite.fake_quant import FakeQuant
from keras_mtl.tflite.flat_graph import Node, flatten, no_twin
from keras_mtl.tflite.qat_twins import Signal, Twins
from keras_mtl.tflite.scheme import scheme_of

_layers = keras.layers
#: The function that builds the twin of a layer, by its kind.
TWINS: dict[type, Callable[[Twins, Node], None]] = {
    _layers.Conv2D: Twins.convolution,
    _layers.DepthwiseConv2D: Twins.convolution,
    _layers.Dense: Twins.dense,
    _layers.Add: Twins.add,
    _layers.AveragePooling2D: Twins.average_pool,
    _layers.GlobalAveragePooling2D: Twins.global_mean,
    _layers.MaxPooling2D: Twins.move,
    _layers.Reshape: Twins.move,
    _layers.Flatten: Twins.move,
    _layers.Activation: Twins.activation,
    _layers.Softmax: Twins.softmax,
    _layers.Dot: Twins.weighted_mean,
    GRN: Twins.response_normalisation,
}


def build_qat(network: keras.Model, scheme: str, frames: int = 100, learning: str = "gradient") -> keras.Model:
    """The quantization-aware twin of a network's scene part. `calibrate` it before use.

    Args:
        network: a float network with the functional models "encoder" and "scene_head". It is read, not changed.
        scheme: "int8" or "int16x8".
        frames: log-mel frames of one inference; 100 is one second.
        learning: how ranges change in training: "gradient" or "moving_average".

    Returns:
        A functional model "qat_scenes": normalised log-mel [batch, frames, mel_bands, 1] to logits [batch, scenes].
        Layer "embeddings" gives what the encoder gives, quantized.

    Raises:
        ConversionError: an unknown scheme, or a layer that has no quantization-aware twin.
    """
    kind = scheme_of(scheme, learning)
    encoder, head = network.get_layer("encoder"), network.get_layer("scene_head")
    graph = flatten([encoder, head])
    inputs = keras.Input((frames, *encoder.input_shape[2:]), name="log_mel")
    values, step = FakeQuant.for_scheme(kind, name="log_mel_range")(inputs)
    twins = Twins(graph, kind, Signal(values, step))
    return keras.Model(inputs, twin_graph(twins).values, name="qat_scenes")


def twin_graph(twins: Twins) -> Signal:
    """Builds the twins of all calls of a graph. Gives the signal that stands for the graph's output.

    Raises:
        ConversionError: a layer that has no quantization-aware twin.
    """
    graph = twins.graph
    for node in graph.nodes:
        if node.output not in twins.done:
            _twin_of(node)(twins, node)
        if node.output == graph.ends[0] and graph.ends[0] != graph.output:
            twins.mark_embeddings(node.output)
    return twins.signal(graph.output)


def _twin_of(node: Node) -> Callable[[Twins, Node], None]:
    # Exactly these kinds: a subclass may compute something else.
    twin = TWINS.get(type(node.layer))
    if twin is None:
        raise no_twin(node.layer)
    return twin
