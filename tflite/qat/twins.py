"""The kinds of twins that TensorFlow Lite's converter makes files of: scene parts and encoders.

Their layers compute in float32 what the converter reads ranges from; the file's operators are its choice. So sums are
rounded to the nearest level here, and not twice as the kernel of ADD rounds them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar

import keras
import numpy as np

from keras_mtl.models import GRN
from keras_mtl.tflite.qat.arithmetic import AveragePool, Mean, Sum
from keras_mtl.tflite.qat.fake_quant import FakeQuant
from keras_mtl.tflite.qat.folding import saturation, take_normalisation, take_plain_relu
from keras_mtl.tflite.qat.graph import Node
from keras_mtl.tflite.qat.grn import GrnTwin
from keras_mtl.tflite.qat.layers import FakeQuantConv2D, FakeQuantDense, FakeQuantDepthwiseConv2D, WeightedMean
from keras_mtl.tflite.qat.registry import TwinBuilder, TwinCall, activation_name, no_twin
from keras_mtl.tflite.qat.scheme import Scheme

_layers = keras.layers
#: Name of the layer that gives what the encoder gives.
EMBEDDINGS = "embeddings"
#: Layers that move values and compute none: the range of their input is theirs.
MOVERS = (_layers.MaxPooling2D, _layers.Reshape, _layers.Flatten)


@dataclass(frozen=True)
class Signal:
    """A quantized tensor of the twin.

    Attributes:
        values: symbolic tensor.
        step: step of its levels: symbolic scalar, or a number where the format fixes it.
        zero_point: the integer that stands for 0, where it is known before calibration.
        row: whether [batch, time, 1] is kept as [batch, 1, time], as weights of a mean are.
    """

    values: Any
    step: Any
    zero_point: int | None = None
    row: bool = False


class TracedCall(TwinCall):
    """One call of a layer whose twin is traced for the converter."""

    @property
    def inputs(self) -> list[Signal]:
        """The signals that the layer reads."""
        return self._inputs

    @property
    def input(self) -> Signal:
        """The one signal that the layer reads, in the shape that the float network has it in.

        Raises:
            ConversionError: it reads several, or weights of a mean.
        """
        if len(self._inputs) != 1 or self._inputs[0].row:
            raise no_twin(self.layer)
        return self._inputs[0]

    @property
    def ends_encoder(self) -> bool:
        """Whether this call alone gives what the encoder gives."""
        return bool(self._node.output == self._builder.graph.ends[0])

    def require_channels_last(self) -> None:
        """Refuses a layer whose channels come first, or that has groups of them."""
        layer = self.layer
        if getattr(layer, "data_format", "channels_last") != "channels_last" or getattr(layer, "groups", 1) != 1:
            raise no_twin(layer)

    def name(self, name: str) -> str:
        """A name that no other layer of the twin has."""
        return self._builder.name(name)

    def ranged(self, name: str, values: Any, step: Any, positive: bool = False, **options: Any) -> Signal:
        """Values with a range of their own, which is the output's where nothing but moves comes after it."""
        if _leads_to_output(self._builder, self.last):
            options["headroom"] = self.scheme.output_headroom
        range_of = FakeQuant.for_scheme(self.scheme, positive=positive, name=f"{name}_range", **options)
        levels, step = range_of(values) if step is None else range_of(values, accumulator_step=step)
        return Signal(levels, step, _zero_point(self.scheme, positive))

    def fixed(self, low: float, high: float, name: str, values: Any) -> Signal:
        """The range low..high that the format fixes, less the step that an integer type lacks at its end."""
        if self.scheme.symmetric:
            # The format's own rounding is too fine to need imitation, and a fake quant here would add operators.
            return Signal(values, 2.0 ** -(self.bits - 1), 0)
        step = (high - low) / 2**self.bits
        range_of = FakeQuant(self.bits, fixed=True, low=low, high=high - step, name=name)
        levels, step = range_of(values)
        return Signal(levels, step, 0 if low < 0 else _zero_point(self.scheme, True))

    def tanh(self, name: str, signal: Signal) -> Signal:
        """Tanh of a signal."""
        return self.fixed(-1.0, 1.0, f"{name}_range", _layers.Activation("tanh", name=name)(signal.values))


@dataclass
class TracedBuilder(TwinBuilder):
    """Builds the twin of a chain of models, of which the first is the encoder."""

    calls: ClassVar[type[TwinCall]] = TracedCall

    def __post_init__(self) -> None:
        self._names |= {"log_mel", EMBEDDINGS}

    def give(self, value: int, signal: Signal) -> None:
        """Of a chain, what the encoder gives comes from the layer "embeddings", if need be one that does nothing."""
        first, last = self.graph.ends[0], self.graph.output
        if value == first != last and signal.values._keras_history.operation.name != EMBEDDINGS:
            signal = replace(signal, values=_layers.Identity(name=EMBEDDINGS)(signal.values))
        super().give(value, signal)


@TracedCall.register(_layers.Conv2D, _layers.DepthwiseConv2D)
def convolution(call: TracedCall) -> Signal:
    """Convolution or depthwise convolution, with normalisation and ReLU, and tanh after it."""
    layer = call.layer
    call.require_channels_last()
    options = {"strides": layer.strides, "padding": layer.padding, "dilation_rate": layer.dilation_rate}
    if isinstance(layer, _layers.DepthwiseConv2D):
        return _weighted(
            call, FakeQuantDepthwiseConv2D, layer.kernel_size, depth_multiplier=layer.depth_multiplier, **options
        )
    return _weighted(call, FakeQuantConv2D, layer.filters, layer.kernel_size, **options)


@TracedCall.register(_layers.Dense)
def dense(call: TracedCall) -> Signal:
    """Dense layer, with ReLU, and tanh after it."""
    return _weighted(call, FakeQuantDense, call.layer.units)


def _weighted(call: TracedCall, kind: Any, *sizes: Any, **options: Any) -> Signal:
    activation, source, name = activation_name(call.layer.activation), call.input, call.name(call.layer.name)
    if activation not in ("linear", "relu", "tanh"):
        raise no_twin(call.layer)
    kernel, *biases = call.layer.get_weights()
    channels = kernel.shape[2:] if kind is FakeQuantDepthwiseConv2D else kernel.shape[-1:]
    bias = biases[0] if biases else np.zeros(np.prod(channels), np.float32)
    rectified = activation == "relu"
    if activation == "linear":
        kernel, bias = take_normalisation(call, kernel, bias, channels)
        rectified = take_plain_relu(call)
    twin = kind(*sizes, activation="relu" if rectified else None, name=name, **options)
    values, step = twin(source.values, input_step=source.step)
    twin.set_weights([kernel, bias])
    signal = call.ranged(name, values, step, rectified, most=saturation(call, activation))
    return call.tanh(f"{name.removesuffix('_hidden')}_tanh", signal) if activation == "tanh" else signal


@TracedCall.register(_layers.Add)
def add(call: TracedCall) -> Signal:
    """Sum of two signals, and ReLU."""
    if len(call.inputs) != 2:
        raise no_twin(call.layer)
    one, other = call.inputs
    layer = Sum(rectified=take_plain_relu(call), name=call.name(call.layer.name))
    return call.ranged(layer.name, layer(one.values, others=other.values), None, layer.rectified)


@TracedCall.register(GRN)
def response_normalisation(call: TracedCall) -> Signal:
    """GRN, and ReLU."""
    source, rectified = call.input, take_plain_relu(call)
    twin = GrnTwin(call.scheme, call.layer, call.name(call.layer.name))
    values, step = twin((source.values, source.step), rectified=rectified)
    return call.ranged(twin.name, values, step, rectified)


@TracedCall.register(_layers.AveragePooling2D)
def average_pool(call: TracedCall) -> Signal:
    """Average pool that keeps its input's range."""
    layer, source = call.layer, call.input
    call.require_channels_last()
    options = {"pool_size": layer.pool_size, "strides": layer.strides, "padding": layer.padding}
    twin = AveragePool(source.zero_point, **options, name=call.name(layer.name))
    return replace(source, values=twin(source.values, input_step=source.step))


@TracedCall.register(_layers.GlobalAveragePooling2D)
def global_mean(call: TracedCall) -> Signal:
    """Mean over time and mel, with a range of its own."""
    layer, source = call.layer, call.input
    call.require_channels_last()
    twin = Mean((1, 2), name=call.name(layer.name))
    positive = source.zero_point == -(2 ** (call.bits - 1))
    divisor = twin.divisor(source.values.shape)
    mean = call.ranged(twin.name, twin(source.values), source.step, positive, divisor=divisor)
    if layer.keepdims:
        return mean
    row = _layers.Reshape((mean.values.shape[-1],), name=call.name(f"{layer.name}_row"))
    return replace(mean, values=row(mean.values))


@TracedCall.register(*MOVERS)
def move(call: TracedCall) -> Signal:
    """Layers that move values and compute none."""
    layer, source = call.layer, call.input
    call.require_channels_last()
    name = EMBEDDINGS if layer.name == EMBEDDINGS and call.ends_encoder else call.name(layer.name)
    twin = type(layer).from_config({**layer.get_config(), "name": name})
    return replace(source, values=twin(source.values))


@TracedCall.register(_layers.Activation)
def activation(call: TracedCall) -> Signal:
    """Tanh; a ReLU is part of the layer before it."""
    name, source = activation_name(call.layer.activation), call.input
    if name == "linear":
        return source
    if name != "tanh":
        raise no_twin(call.layer)
    return call.tanh(call.name(call.layer.name), source)


@TracedCall.register(_layers.Softmax)
def softmax(call: TracedCall) -> Signal:
    """Softmax over the last axis, or over the time of [batch, time, 1]."""
    layer, source = call.layer, call.input
    shape, values, row = source.values.shape, source.values, layer.axis not in (-1, call.rank - 1)
    if row:
        if layer.axis not in (1, -2) or len(shape) != 3 or shape[2] != 1:
            raise no_twin(layer)
        values = _layers.Reshape((1, shape[1]), name=call.name(f"{layer.name}_row"))(values)
    values = _layers.Softmax(name=call.name(layer.name))(values)
    return replace(call.fixed(0.0, 1.0, f"{layer.name}_range", values), row=row)


@TracedCall.register(_layers.Dot)
def weighted_mean(call: TracedCall) -> Signal:
    """Product of softmax weights [batch, time, 1] and embeddings [batch, time, size] over time."""
    weights, embeddings = call.inputs
    axes = call.layer.axes
    if (axes if isinstance(axes, int) else tuple(axes)) not in (1, (1, 1)) or not weights.row or embeddings.row:
        raise no_twin(call.layer)
    twin = WeightedMean(name=call.name(call.layer.name))
    values, step = twin(embeddings.values, weights=weights.values, input_step=embeddings.step, weight_step=weights.step)
    return call.ranged(twin.name, values, step)


def _leads_to_output(builder: TwinBuilder, node: Node) -> bool:
    following = builder.graph.next_alone(node.output)
    if following is None or type(following.layer) not in MOVERS:
        return node.output == builder.graph.output
    return _leads_to_output(builder, following)


def _zero_point(scheme: Scheme, positive: bool) -> int | None:
    if scheme.symmetric:
        return 0
    return -(2 ** (scheme.bits - 1)) if positive else None
