"""Mixed precision: which layers of a network compute in 16 bits while it trains."""

from __future__ import annotations

from collections.abc import Iterator

import keras

from keras_mtl.models import FusedBatchNorm

#: What is worth it and safe; other layers stay in float32 and take their inputs as that.
_IN_16_BITS = (
    keras.layers.Conv1D,
    keras.layers.Conv2D,
    keras.layers.DepthwiseConv2D,
    keras.layers.Dense,
    keras.layers.BatchNormalization,
    FusedBatchNorm,
    keras.layers.ReLU,
    keras.layers.MaxPooling2D,
    keras.layers.AveragePooling2D,
)
_NEEDS_RANGE = ("softmax", "sigmoid", "hard_sigmoid", "log_softmax")


def use_precision(network: keras.Model, precision: str) -> list[str]:
    """Lets the layers of a network compute in a precision; the weights stay float32, and so do the network's outputs.

    These go down to 16 bits: convolutions, dense layers, batch normalisation (whose statistics Keras takes in float32),
    ReLU and pools, where they stand in a functional graph, have no softmax or sigmoid, and give none of a model's
    outputs. So embeddings, logits and probabilities are float32, and losses too; recurrent layers are as well.

    Args:
        network: changed in place.
        precision: "mixed_bfloat16", "mixed_float16", or "float32", which takes it all back.

    Returns:
        Names of the layers that compute in it, but for float32: then of none.
    """
    changed = []
    for layer in _layers(network):
        layer.dtype_policy = keras.DTypePolicy(precision)
        if precision != "float32":
            changed.append(layer.name)
    return changed


def _layers(network: keras.Model) -> Iterator[keras.layers.Layer]:
    last = {tensor._keras_history.operation for tensor in keras.tree.flatten(network.outputs)}
    for layer in network.layers:
        if hasattr(layer, "operations"):  # a model in the model
            yield from _layers(layer)
        elif type(layer) in _IN_16_BITS and layer not in last:
            activation = getattr(layer, "activation", None)
            if getattr(activation, "__name__", "linear") not in _NEEDS_RANGE:
                yield layer
