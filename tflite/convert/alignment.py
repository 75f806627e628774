"""Lays an encoder out in time: what each layer must hold so that the whole can go a few frames at a time.

With S frames a step, a signal at one frame for every c of the input has a rate of r = S / c frames a step, and step k
makes its frames r k - d .. r k - d + r - 1: d is its delay. Output frame j of a layer reads n frames of its input, from
s j - a on (s the stride, a what a "same" convolution pads before the clip). Its delay d' is then the least for which
all that it reads is there, and it must hold h frames of its input from the steps before:

    s d' >= d - a + max(n - s, 0);    h = s d' + a - d

A pool makes its frames by whole pools of the clip, so what comes before it may have to wait. It waits where frames are
smaller: before the convolution, if that is so.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from keras_mtl.core import ConversionError
from keras_mtl.tflite.qat import FakeQuant, FakeQuantDense, Product, Sum

_layers = keras.layers
CONVOLUTIONS = (_layers.Conv2D, _layers.DepthwiseConv2D)
POOLS = (_layers.MaxPooling2D, _layers.AveragePooling2D)
#: Layers that make each frame of the same frame of what they read. Dense and softmax do so over the last axis.
_FRAME_BY_FRAME = (
    *(FakeQuant, FakeQuantDense, Sum, Product, _layers.Dense, _layers.Add, _layers.Multiply, _layers.ReLU),
    *(_layers.Activation, _layers.Identity, _layers.Dropout, _layers.SpatialDropout2D, _layers.GaussianNoise),
)


@dataclass(frozen=True)
class Reach:
    """What output frame j of a layer reads: the frames stride j - before .. stride j - before + length - 1."""

    before: int
    length: int
    stride: int


@dataclass(frozen=True)
class Signal:
    """Where a signal stands in time.

    Attributes:
        every: input frames for one of its frames.
        delay: step k makes its frames from rate x k - delay on.
        before: its frame j looks back to input frame every x j - before.
        range_of: the layer that quantizes it; None in a float network.
    """

    every: int = 1
    delay: int = 0
    before: int = 0
    range_of: FakeQuant | None = None


@dataclass(frozen=True)
class Place:
    """A layer that reads several frames.

    Attributes:
        reach: what it reads.
        held: frames of its input that it holds from the steps before.
        range_of: the layer that quantizes its input; None in a float network.
    """

    reach: Reach
    held: int
    range_of: FakeQuant | None


@dataclass(frozen=True)
class Alignment:
    """An encoder, laid out in time.

    Attributes:
        stride: log-mel frames of one step, and of one embedding.
        latency: steps by which an embedding is late.
        warm_up: embeddings after a start that look at what was before it.
        places: of each layer that reads several frames, by its name.
    """

    stride: int
    latency: int
    warm_up: int
    places: dict[str, Place]


def align(encoder: keras.Model) -> Alignment:
    """Lays an encoder out in time.

    Args:
        encoder: functional model from log-mel [batch, frames, mel_bands, 1] to embeddings [batch, embeddings, size]:
            float, or the quantization-aware twin.

    Raises:
        ConversionError: a layer that can't go step by step, and why.
    """
    nodes = list(_nodes(encoder))
    placed: dict[str, Place] = {}
    signals = {id(encoder.inputs[0]): Signal()}
    for node in nodes:
        read = [tensor for tensor in node.input_tensors if id(tensor) in signals]
        made = _made(node, read, [signals[id(tensor)] for tensor in read], nodes, placed)
        # The second thing that a layer of a twin gives is the step of its integers, which has no time.
        signals[id(node.outputs[0])] = made
    end = signals[id(encoder.outputs[0])]
    return Alignment(end.every, end.delay, math.ceil(end.before / end.every), placed)


def reach_of(layer: Any) -> Reach | None:
    """What a layer reads for one frame; None for a layer that is no convolution and no pool."""
    if not isinstance(layer, CONVOLUTIONS + POOLS):
        return None
    if layer.data_format != "channels_last":
        raise _refusal(layer, "has its channels first")
    if isinstance(layer, POOLS):
        if tuple(layer.pool_size) != tuple(layer.strides):
            raise _refusal(layer, f"pools {tuple(layer.pool_size)} every {tuple(layer.strides)}, so its pools overlap")
        return Reach(0, layer.pool_size[0], layer.pool_size[0])
    stride, length = layer.strides[0], (layer.kernel_size[0] - 1) * layer.dilation_rate[0] + 1
    if layer.padding != "same" and length != stride:
        raise _refusal(layer, f'has padding "{layer.padding}", so embeddings move with the start of the clip')
    # Of a clip of a whole number of embeddings, which is a whole number of strides in every layer.
    return Reach(max(length - stride, 0) // 2, length, stride)


def _made(node: Any, read: list[Any], sources: list[Signal], nodes: list[Any], placed: dict[str, Place]) -> Signal:
    """The signal that a call makes. A layer that reads several frames gets its place."""
    layer, first = node.operation, sources[0]
    if any((source.every, source.delay) != (first.every, first.delay) for source in sources):
        raise _refusal(layer, "joins paths of different delays")
    reach = reach_of(layer)
    if reach is not None:
        return _place(node, first, reach, nodes, placed)
    range_of = layer if isinstance(layer, FakeQuant) else None
    before = max(source.before for source in sources)
    if isinstance(layer, _layers.Reshape):
        given, shape = read[0].shape, node.outputs[0].shape
        if len(shape) != 3 or shape[2] != math.prod(given[2:]):
            raise _refusal(layer, "mixes frames")
        range_of = first.range_of
    elif isinstance(layer, _layers.BatchNormalization):
        if layer.axis not in (-1, len(read[0].shape) - 1):
            raise _refusal(layer, "normalises over another axis than the channels")
    elif type(layer) not in _FRAME_BY_FRAME:
        raise _refusal(layer, "may look at other frames than those at hand")
    elif isinstance(layer, _layers.Identity):
        range_of = first.range_of
    return Signal(first.every, first.delay, before, range_of)


def _place(node: Any, source: Signal, reach: Reach, nodes: list[Any], placed: dict[str, Place]) -> Signal:
    late = source.delay - reach.before + max(reach.length - reach.stride, 0)
    delay = math.ceil(late / reach.stride)
    delay += _wait(node, delay, nodes)
    held = reach.stride * delay + reach.before - source.delay
    placed[node.operation.name] = Place(reach, held, source.range_of)
    before = source.before + source.every * reach.before
    range_of = source.range_of if isinstance(node.operation, POOLS) else None
    return Signal(source.every * reach.stride, delay, before, range_of)


def _wait(node: Any, delay: int, nodes: list[Any]) -> int:
    """Frames that a layer should be later, so that the next one down the way needs not hold them."""
    following = _next_reach(node, nodes)
    if following is None:
        return 0
    reach, tensor = following
    if _row(node.input_tensors[0]) * _stride(node) > _row(tensor):
        return 0
    return -(delay + reach.length - reach.before) % reach.stride


def _next_reach(node: Any, nodes: list[Any]) -> tuple[Reach, Any] | None:
    """What the next layer that reads several frames reads, and from which tensor; None where several follow."""
    tensor = node.outputs[0]
    while True:
        readers = [each for each in nodes if any(given is tensor for given in each.input_tensors)]
        if not readers:
            return None
        reach = reach_of(readers[0].operation)
        if reach is not None:
            return (reach, tensor) if len(readers) == 1 else None
        tensor = readers[0].outputs[0]


def _row(tensor: Any) -> int:
    """Values of one frame."""
    return int(np.prod(tensor.shape[2:]))


def _stride(node: Any) -> int:
    reach = reach_of(node.operation)
    return reach.stride if reach else 1


def _nodes(model: keras.Model) -> Iterator[Any]:
    """The calls of a functional model in the order of computation."""
    for depth in sorted(model._nodes_by_depth, reverse=True):
        yield from (node for node in model._nodes_by_depth[depth] if not node.is_input)


def _refusal(layer: Any, why: str) -> ConversionError:
    return ConversionError(
        f"the encoder can't go step by step: layer {layer.name} ({type(layer).__name__}) {why}",
        hint='encoders of "same" convolutions and pools can, as those of mt, cnn, crnn and baseline_sed',
    )
