"""What one Keras layer has to do, by its kind, and how the sources of the systems count that as MACs.

`default` counts weights times the positions at which they are applied (convolutions, dense and recurrent layers,
products of two computed matrices). The other conventions belong to public tools, and are here so that the figures
which their authors print can be met to the digit:

`nessi`: biases count as weights do, and batch normalisation counts its 2 C values once. The counter of the DCASE
low-complexity tasks, as `cp_mobile`'s source uses it.

`thop`: no biases; batch normalisation 4 an element, an average pool 1 an output element, a GRU 13 a hidden unit and
step for its gates, a softmax 3 n - 1 a row. The counter that `baseline_sed`'s source uses.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras


@dataclass(frozen=True)
class Work:
    """What a layer does in one call on its input, without the batch.

    Attributes:
        weights: weights times positions.
        biases: biases times positions.
        affine: values of batch normalisation, 2 C.
        normalised: elements that batch normalisation goes over.
        averaged: output elements of average pools.
        gated: hidden units times steps of recurrent layers, over both directions.
        softmax: 3 n - 1 for every row of n values.
    """

    weights: int = 0
    biases: int = 0
    affine: int = 0
    normalised: int = 0
    averaged: int = 0
    gated: int = 0
    softmax: int = 0


#: MACs of a layer's work, by the name of the convention.
CONVENTIONS: dict[str, Callable[[Work], int]] = {
    "default": lambda work: work.weights,
    "nessi": lambda work: work.weights + work.biases + work.affine,
    "thop": lambda work: work.weights + 4 * work.normalised + work.averaged + 13 * work.gated + work.softmax,
}


def work_of(layer: keras.layers.Layer) -> Work:
    """The work of a layer in a functional model.

    Raises:
        ValueError: a kind that is not known here (an unknown layer is never counted as nothing), or an input of open
            length.
    """
    kind = type(layer).__name__
    if kind not in _KINDS:
        raise ValueError(f"layer {layer.name} is of kind {kind}, whose MACs are not known here")
    return _KINDS[kind](layer)


def _positions(shape: tuple[int | None, ...]) -> int:
    if any(size is None for size in shape[1:]):
        raise ValueError(f"a layer's output {shape} has an open length; build the network with a fixed one")
    return math.prod(size for size in shape[1:] if size)


def _conv(layer: Any) -> Work:
    elements = _positions(layer.output.shape)
    positions = elements // layer.output.shape[-1]
    biases = elements if layer.use_bias else 0
    # A depthwise kernel [h, w, channels, multiplier] is applied as a whole at every position, too.
    return Work(weights=math.prod(layer.kernel.shape) * positions, biases=biases, softmax=_activation_work(layer))


def _batch_norm(layer: Any) -> Work:
    elements = _positions(layer.output.shape)
    return Work(affine=2 * layer.output.shape[-1], normalised=elements)


def _gru(layer: Any) -> Work:
    _, steps, inputs = layer.input.shape
    if steps is None:
        raise ValueError(f"layer {layer.name} has an input of open length; build the network with a fixed one")
    both = isinstance(layer, keras.layers.Bidirectional)
    cell, directions = (layer.forward_layer, 2) if both else (layer, 1)
    if not isinstance(cell, keras.layers.GRU):
        raise ValueError(f"layer {layer.name} holds a {type(cell).__name__}, whose MACs are not known here")
    gated = directions * steps * cell.units
    biases = (2 if cell.reset_after else 1) * 3 * gated if cell.use_bias else 0
    return Work(weights=3 * gated * (inputs + cell.units), biases=biases, gated=gated)


def _dot(layer: Any) -> Work:
    first, second = (tensor.shape for tensor in layer.input)
    axis = layer.axes[0] if isinstance(layer.axes, (list, tuple)) else layer.axes
    return Work(weights=_positions(first) * _positions(second) // first[axis])


def _softmax_rows(shape: tuple[int | None, ...], axis: int = -1) -> int:
    length = shape[axis] or 1
    return _positions(shape) // length * (3 * length - 1)


def _activation_work(layer: Any) -> int:
    softmax = keras.activations.serialize(layer.activation) == "softmax"
    return _softmax_rows(layer.output.shape) if softmax else 0


# GRN scales and shifts as a normalisation does, and no public counter here knows it: it counts nothing, like BN.
_WITHOUT_MACS = """
    InputLayer ReLU MaxPooling2D Reshape Flatten Dropout Add Multiply GRN TimeMean LookAhead WeakPooling Identity
"""
_KINDS: dict[str, Callable[[Any], Work]] = {
    "Conv1D": _conv,
    "Conv2D": _conv,
    "DepthwiseConv2D": _conv,
    "Dense": _conv,
    "BatchNormalization": _batch_norm,
    "FusedBatchNorm": _batch_norm,
    "AveragePooling2D": lambda layer: Work(averaged=_positions(layer.output.shape)),
    "GlobalAveragePooling2D": lambda layer: Work(averaged=_positions(layer.output.shape)),
    "GRU": _gru,
    "Bidirectional": _gru,
    "Dot": _dot,
    "Softmax": lambda layer: Work(softmax=_softmax_rows(layer.output.shape, layer.axis)),
    "Activation": lambda layer: Work(softmax=_activation_work(layer)),
    "KernelMixture": lambda layer: Work(softmax=_softmax_rows(layer.input[1].shape)),
    **dict.fromkeys(_WITHOUT_MACS.split(), lambda _layer: Work()),
}
