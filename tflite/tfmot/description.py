"""The scene part as plain data: layers with their settings, and weights by name.

tensorflow-model-optimization takes models of the old Keras only, in a process where no Keras 3 is. What that process
builds its twin from is this: a list of layers, of kinds that tfmot's 8-bit scheme has, and arrays.

Three things are described otherwise, so that tfmot and the converter agree: tanh stands as a layer of its own, with the
range that the format fixes; softmax over time is one over the last axis; and the weighted mean is a matrix product.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import keras
import numpy as np

from keras_mtl.core import ConversionError
from keras_mtl.models import FusedBatchNorm
from keras_mtl.tflite.qat import Graph, Node, activation_name, flatten, is_relu

_layers = keras.layers
#: Ranges that the format fixes, less the step that the integers lack at their end.
_TANH, _SOFTMAX = [-1.0, 127 / 128], [0.0, 255 / 256]
#: The range is a moving average of what was seen, as tfmot's own layers have it.
_MOVING = "moving"
_CONVOLUTIONS = (_layers.Conv2D, _layers.DepthwiseConv2D)
_NORMALISATIONS = (_layers.BatchNormalization, FusedBatchNorm)
_MAP_OPTIONS = ("strides", "padding")
_KERNEL_OPTIONS = (*_MAP_OPTIONS, "kernel_size", "dilation_rate", "use_bias")
#: The settings of each kind that mean the same in both Keras.
_OPTIONS: dict[type, tuple[str, ...]] = {
    _layers.Conv2D: ("filters", *_KERNEL_OPTIONS),
    _layers.DepthwiseConv2D: ("depth_multiplier", *_KERNEL_OPTIONS),
    _layers.Dense: ("units", "use_bias"),
    _layers.BatchNormalization: ("epsilon", "scale", "center"),
    FusedBatchNorm: ("epsilon", "scale", "center"),
    _layers.ReLU: (),
    _layers.Activation: (),
    _layers.Add: (),
    _layers.AveragePooling2D: ("pool_size", *_MAP_OPTIONS),
    _layers.MaxPooling2D: ("pool_size", *_MAP_OPTIONS),
    _layers.GlobalAveragePooling2D: ("keepdims",),
    _layers.Reshape: ("target_shape",),
    _layers.Flatten: (),
    _layers.Softmax: (),
    _layers.Dot: (),
}

_NOT_LISTED = "tfmot's 8-bit scheme has no such layer"
_RECURRENT = "tfmot's 8-bit scheme has no recurrent cells"
#: Reasons by kind, as tfmot 0.8 was found to refuse them; of any other kind it is `_NOT_LISTED`.
REASONS = {
    "BatchNormalization": "tfmot takes batch normalisation right after a convolution only",
    "FusedBatchNorm": "tfmot takes batch normalisation right after a convolution only",
    "GRN": "a layer of our own, whose squares, means and roots inside would stay in floating point",
    "GRU": _RECURRENT,
    "LSTM": _RECURRENT,
    "Bidirectional": _RECURRENT,
    "Multiply": _NOT_LISTED,
    "LayerNormalization": _NOT_LISTED,
    "Attention": _NOT_LISTED,
    "Dot": "tfmot's 8-bit scheme has no products; the mean of embeddings by softmax weights over time is rewritten",
}


@dataclass
class Description:
    """A scene part as plain data.

    Attributes:
        document: `input` (shape without the batch), `layers` in the order of computation, and the names of the layers
            that give `embeddings` and `logits`. A layer has `kind` (a class of the old Keras, or "WeightedMean"),
            `name`, `config`, the names it `reads` ("" is the input) and, where it is not the one that tfmot would
            take, the `range` of its output: [low, high], or "moving".
        weights: arrays by "layer/weight", under the old Keras's names.
    """

    document: dict[str, Any]
    weights: dict[str, np.ndarray] = field(default_factory=dict)


def describe_scene_part(network: keras.Model, frames: int = 100) -> Description:
    """Describes a network's encoder and scene head for tfmot.

    Args:
        network: a float network with the functional models "encoder" and "scene_head". It is read, not changed.
        frames: log-mel frames of one inference; 100 is one second.

    Raises:
        ConversionError: a layer that tfmot refuses, by name, kind and reason.
    """
    encoder = network.get_layer("encoder")
    graph = flatten([encoder, network.get_layer("scene_head")])
    listed = _Listed(graph)
    for node in graph.nodes:
        listed.add(node)
    document = {
        "input": [frames, *encoder.input_shape[2:]],
        "layers": listed.layers,
        "embeddings": listed.names[graph.ends[0]],
        "logits": listed.names[graph.output],
    }
    return Description(document, listed.weights)


class _Listed:
    """The layers so far, and which of them gives each value of the graph."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.names = {0: ""}
        self.layers: list[dict[str, Any]] = []
        self.weights: dict[str, np.ndarray] = {}
        self._rows: set[int] = set()  # values [batch, 1, time] that were [batch, time, 1]

    def add(self, node: Node) -> None:
        layer, kind = node.layer, type(node.layer)
        if kind not in _OPTIONS or getattr(layer, "data_format", "channels_last") != "channels_last":
            raise _refusal(layer)
        if self._rows & set(node.inputs) and kind is not _layers.Dot:
            raise _refusal(layer)
        reads = [self.names[value] for value in node.inputs]
        config = {key: _plain(getattr(layer, key)) for key in _OPTIONS[kind]}
        if kind is _layers.Softmax:
            self._softmax(node, reads)
        elif kind is _layers.Dot:
            self._weighted_mean(node, reads)
        elif isinstance(layer, _NORMALISATIONS):
            self._require_convolution_before(node)
            self._give(node, "BatchNormalization", config, reads)
        else:
            self._plain_layer(node, config, reads)

    def _plain_layer(self, node: Node, config: dict[str, Any], reads: list[str]) -> None:
        layer, kind = node.layer, type(node.layer)
        if getattr(layer, "groups", 1) != 1 or (kind is _layers.ReLU and not is_relu(layer)):
            raise _refusal(layer)
        activation = activation_name(layer.activation) if hasattr(layer, "activation") else None
        if activation not in (None, "linear", "relu", "tanh"):
            raise _refusal(layer, f"activation {activation}")
        if kind is _layers.Activation:
            self._give(node, "Activation", {"activation": activation}, reads, _TANH if activation == "tanh" else None)
            return
        if activation in ("linear", "relu"):
            config["activation"] = activation
        self._give(node, kind.__name__, config, reads)
        if activation == "tanh":
            self._append(node, "Activation", {"activation": "tanh"}, [self.names[node.output]], _TANH, "_tanh")

    def _softmax(self, node: Node, reads: list[str]) -> None:
        layer, shape = node.layer, node.layer.output.shape
        if layer.axis not in (-1, len(shape) - 1):
            if layer.axis not in (1, -2) or len(shape) != 3 or shape[2] != 1:
                raise _refusal(layer, f"softmax over axis {layer.axis}")
            self._append(node, "Reshape", {"target_shape": [1, -1]}, reads, None, "_row")
            reads = [self.names[node.output]]
            self._rows.add(node.output)
        self._give(node, "Softmax", {}, reads, _SOFTMAX)

    def _weighted_mean(self, node: Node, reads: list[str]) -> None:
        axes, (weights, embeddings) = node.layer.axes, node.inputs
        over_time = (axes if isinstance(axes, int) else tuple(axes)) in (1, (1, 1))
        if not over_time or weights not in self._rows or embeddings in self._rows or node.layer.normalize:
            raise _refusal(node.layer)
        self._give(node, "WeightedMean", {}, reads, _MOVING)

    def _require_convolution_before(self, node: Node) -> None:
        before = [one for one in self.graph.nodes if one.output == node.inputs[0]]
        follows = (
            before
            and type(before[0].layer) in _CONVOLUTIONS
            and activation_name(before[0].layer.activation) == "linear"
        )
        if not follows or self.graph.next_alone(node.inputs[0]) is not node or node.layer.axis not in (-1, 3):
            raise _refusal(node.layer)

    def _give(self, node: Node, kind: str, config: dict[str, Any], reads: list[str], range_of: Any = None) -> None:
        """Appends the layer itself, with its weights."""
        name = self._append(node, kind, config, reads, range_of)
        for weight in node.layer.weights:
            prefix = "depthwise_" if kind == "DepthwiseConv2D" and weight.name == "kernel" else ""
            self.weights[f"{name}/{prefix}{weight.name}"] = np.asarray(weight)

    def _append(
        self, node: Node, kind: str, config: dict[str, Any], reads: list[str], range_of: Any, ending: str = ""
    ) -> str:
        taken = {layer["name"] for layer in self.layers} | {"log_mel"}
        wanted = name = node.layer.name + ending
        count = 1
        while name in taken:
            count += 1
            name = f"{wanted}_{count}"
        self.layers.append({"kind": kind, "name": name, "config": config, "reads": reads, "range": range_of})
        self.names[node.output] = name
        return name


def _refusal(layer: Any, reason: str = "") -> ConversionError:
    """The refusal of a layer, by its name, its kind and the reason."""
    kind = type(layer).__name__
    return ConversionError(
        f"layer {layer.name} ({kind}) can't be quantized by tfmot: {reason or REASONS.get(kind, _NOT_LISTED)}",
        hint="--engine native may take it; docs/algorithms.md has the list",
    )


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value
