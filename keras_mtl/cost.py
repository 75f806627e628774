"""What a Keras network costs: parameters and multiply-accumulates, layer by layer.

A multiply-accumulate (MAC) is a weight times a position of a convolution, dense, recurrent or matrix-product layer.
Biases, normalisation, activations and pools are not counted. A layer of a kind that is not known is refused by name.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import keras


@dataclass(frozen=True)
class LayerCost:
    """One layer's row: `params` are trainable values, `macs` belong to one call on the model's fixed input."""

    name: str
    kind: str
    output_shape: tuple[int | None, ...]
    params: int
    macs: int


@dataclass(frozen=True)
class Cost:
    """The cost of a network.

    Attributes:
        rows: layer by layer.
        params: trainable parameters.
        macs_per_second: MACs for each second of audio.
    """

    rows: tuple[LayerCost, ...]
    params: int
    macs_per_second: float


def cost(model: keras.Model, audio_seconds: float) -> Cost:
    """Counts a functional model.

    Args:
        model: with a fixed input shape (but for the batch).
        audio_seconds: seconds of audio that the input covers.

    Raises:
        ValueError: a layer of an unknown kind, or an input of open length.
    """
    rows = tuple(_rows(model))
    return Cost(rows, sum(row.params for row in rows), sum(row.macs for row in rows) / audio_seconds)


def _rows(model: keras.Model) -> Iterator[LayerCost]:
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            yield from _rows(layer)
            continue
        kind = type(layer).__name__
        if kind not in _MACS:
            raise ValueError(f"layer {layer.name} is of kind {kind}, whose MACs are not known here")
        shape = getattr(layer.output, "shape", None)
        params = sum(math.prod(weight.shape) for weight in layer.trainable_weights)
        yield LayerCost(layer.name, kind, tuple(shape or ()), params, _MACS[kind](layer))


def _positions(shape: tuple[int | None, ...]) -> int:
    if any(size is None for size in shape[1:]):
        raise ValueError(f"a layer's output {shape} has an open length; build the network with a fixed one")
    return math.prod(size for size in shape[1:] if size)


def _conv(layer: keras.layers.Layer) -> int:
    return math.prod(layer.kernel.shape) * _positions(layer.output.shape) // layer.output.shape[-1]


def _dense(layer: keras.layers.Layer) -> int:
    return layer.kernel.shape[0] * _positions(layer.output.shape)


def _gru(layer: keras.layers.Layer) -> int:
    _, steps, inputs = layer.input.shape
    if steps is None:
        raise ValueError(f"layer {layer.name} has an input of open length; build the network with a fixed one")
    units = (layer.forward_layer if isinstance(layer, keras.layers.Bidirectional) else layer).units
    directions = 2 if isinstance(layer, keras.layers.Bidirectional) else 1
    return directions * steps * 3 * units * (inputs + units)


def _dot(layer: keras.layers.Layer) -> int:
    first, second = (tensor.shape for tensor in layer.input)
    axis = layer.axes[0] if isinstance(layer.axes, (list, tuple)) else layer.axes
    return _positions(first) * _positions(second) // first[axis]


def _none(_layer: keras.layers.Layer) -> int:
    return 0


_MACS: dict[str, Callable[[keras.layers.Layer], int]] = {
    "Conv2D": _conv,
    "Dense": _dense,
    "GRU": _gru,
    "Bidirectional": _gru,
    "Dot": _dot,
    **dict.fromkeys(
        ("InputLayer", "BatchNormalization", "ReLU", "MaxPooling2D", "Reshape", "Softmax", "WeakPooling"), _none
    ),
}
