"""The twins of a network's layers, by the kind of the layer."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import Any

import keras

from keras_mtl.tflite.qat.arithmetic import AveragePool, Mean, Sum
from keras_mtl.tflite.qat.fake_quant import FakeQuant
from keras_mtl.tflite.qat.flat_graph import FlatGraph, Folded, Node, activation_of, fold, is_relu, no_twin
from keras_mtl.tflite.qat.grn import GrnTwin
from keras_mtl.tflite.qat.layers import FakeQuantConv2D, FakeQuantDense, FakeQuantDepthwiseConv2D, WeightedMean
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


@dataclass
class Twins:
    """Builds the twins of a graph's calls, given in the order of computation: one method for each kind of layer.

    Attributes:
        graph: the float network's calls.
        scheme: how activations are quantized.
        input: the quantized input.
        done: the signals so far; None for values inside a folded operator.
    """

    graph: FlatGraph
    scheme: Scheme
    input: Signal
    done: dict[int, Signal | None] = field(default_factory=dict)
    _names: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.done[0] = self.input
        self._names |= {"log_mel", EMBEDDINGS}

    def signal(self, value: int) -> Signal:
        """The signal of a value of the float network."""
        signal = self.done[value]
        if signal is None:
            raise KeyError(value)
        return signal

    def mark_embeddings(self, value: int) -> None:
        """Gives a signal the layer "embeddings", unless the network's own layer of that name makes it."""
        signal = self.signal(value)
        if signal.values._keras_history.operation.name != EMBEDDINGS:
            marked = _layers.Identity(name=EMBEDDINGS)(signal.values)
            self.done[value] = replace(signal, values=marked)

    def ranged(self, name: str, value: int, values: Any, step: Any, positive: bool = False, **options: Any) -> Signal:
        """Values with a range of their own, which is the output's where nothing but moves comes after it."""
        if self._leads_to_output(value):
            options["headroom"] = self.scheme.output_headroom
        range_of = FakeQuant.for_scheme(self.scheme, positive=positive, name=f"{name}_range", **options)
        levels, step = range_of(values) if step is None else range_of(values, accumulator_step=step)
        return Signal(levels, step, _zero_point(self.scheme, positive))

    def fixed(self, low: float, high: float, name: str, values: Any) -> Signal:
        """The range low..high that the format fixes, less the step that an integer type lacks at its end."""
        if self.scheme.symmetric:
            # The format's own rounding is too fine to need imitation, and a fake quant here would add operators.
            return Signal(values, 2.0 ** -(self.scheme.bits - 1), 0)
        step = (high - low) / 2**self.scheme.bits
        range_of = FakeQuant(self.scheme.bits, fixed=True, low=low, high=high - step, name=name)
        levels, step = range_of(values)
        return Signal(levels, step, 0 if low < 0 else _zero_point(self.scheme, True))

    def plain(self, node: Node) -> Signal:
        """The one signal that a layer reads, in the shape that the float network has it in."""
        signal = self.signal(node.inputs[0])
        if len(node.inputs) != 1 or signal.row:
            raise no_twin(node.layer)
        return signal

    def give(self, value: int, signal: Signal, inside: tuple[int, ...] = ()) -> None:
        """Records the signal of a value, and the values that lie inside the operator that makes it."""
        self.done.update(dict.fromkeys(inside))
        self.done[value] = signal

    def name(self, name: str) -> str:
        """A name that no other layer of the twin has."""
        unique, count = name, 2
        while unique in self._names:
            unique, count = f"{name}_{count}", count + 1
        self._names.add(unique)
        return unique

    def _leads_to_output(self, value: int) -> bool:
        following = self.graph.next_alone(value)
        if following is None or type(following.layer) not in MOVERS:
            return value == self.graph.output
        return self._leads_to_output(following.output)

    def convolution(self, node: Node) -> None:
        """Convolution or depthwise convolution, with normalisation and ReLU, and tanh after it."""
        layer, folded = node.layer, fold(self.graph, node)
        if layer.data_format != "channels_last" or getattr(layer, "groups", 1) != 1:
            raise no_twin(layer)
        options = {
            "strides": layer.strides,
            "padding": layer.padding,
            "dilation_rate": layer.dilation_rate,
            "activation": "relu" if folded.rectified else None,
            "name": self.name(layer.name),
        }
        if isinstance(layer, _layers.DepthwiseConv2D):
            twin = FakeQuantDepthwiseConv2D(layer.kernel_size, depth_multiplier=layer.depth_multiplier, **options)
        else:
            twin = FakeQuantConv2D(layer.filters, layer.kernel_size, **options)
        self._weighted(node, folded, twin)

    def dense(self, node: Node) -> None:
        """Dense layer, with ReLU, and tanh after it."""
        folded = fold(self.graph, node)
        activation = "relu" if folded.rectified else None
        twin = FakeQuantDense(node.layer.units, activation=activation, name=self.name(node.layer.name))
        self._weighted(node, folded, twin)

    def _weighted(self, node: Node, folded: Folded, twin: Any) -> None:
        source = self.plain(node)
        values, step = twin(source.values, input_step=source.step)
        twin.set_weights([folded.kernel, folded.bias])
        activation = activation_of(node.layer)
        if activation not in ("linear", "relu", "tanh"):
            raise no_twin(node.layer)
        last = folded.last.output
        following = self.graph.next_alone(last)
        squashed = activation == "tanh" or (following is not None and _is_tanh(following.layer))
        # Where tanh is within half a step of 1, a range that reaches further only makes its steps coarser.
        options = {"most": math.atanh(1.0 - 2.0**-self.scheme.bits)} if squashed else {}
        signal = self.ranged(twin.name, last, values, step, folded.rectified, **options)
        if activation == "tanh":
            signal = self._tanh(twin.name.removesuffix("_hidden") + "_tanh", signal)
        self.give(last, signal, folded.inside)

    def add(self, node: Node) -> None:
        """Sum of two signals, and ReLU."""
        if len(node.inputs) != 2:
            raise no_twin(node.layer)
        one, other = (self.signal(value) for value in node.inputs)
        last, inside = self._with_relu(node)
        layer = Sum(rectified=last != node.output, name=self.name(node.layer.name))
        values = layer(one.values, others=other.values)
        self.give(last, self.ranged(layer.name, last, values, None, layer.rectified), inside)

    def response_normalisation(self, node: Node) -> None:
        """GRN, and ReLU."""
        source = self.plain(node)
        last, inside = self._with_relu(node)
        twin = GrnTwin(self.scheme, node.layer, self.name(node.layer.name))
        values, step = twin((source.values, source.step), rectified=last != node.output)
        self.give(last, self.ranged(twin.name, last, values, step, last != node.output), inside)

    def average_pool(self, node: Node) -> None:
        """Average pool that keeps its input's range."""
        layer, source = node.layer, self.plain(node)
        if layer.data_format != "channels_last":
            raise no_twin(layer)
        options = {"pool_size": layer.pool_size, "strides": layer.strides, "padding": layer.padding}
        twin = AveragePool(source.zero_point, **options, name=self.name(layer.name))
        self.give(node.output, replace(source, values=twin(source.values, input_step=source.step)))

    def global_mean(self, node: Node) -> None:
        """Mean over time and mel, with a range of its own."""
        layer, source = node.layer, self.plain(node)
        if layer.data_format != "channels_last":
            raise no_twin(layer)
        twin = Mean((1, 2), name=self.name(layer.name))
        positive = source.zero_point == -(2 ** (self.scheme.bits - 1))
        divisor = twin.divisor(source.values.shape)
        mean = self.ranged(twin.name, node.output, twin(source.values), source.step, positive, divisor=divisor)
        if not layer.keepdims:
            row = _layers.Reshape((mean.values.shape[-1],), name=self.name(f"{layer.name}_row"))
            mean = replace(mean, values=row(mean.values))
        self.give(node.output, mean)

    def move(self, node: Node) -> None:
        """Layers that move values and compute none."""
        layer, source = node.layer, self.plain(node)
        if getattr(layer, "data_format", "channels_last") != "channels_last":
            raise no_twin(layer)
        ends = layer.name == EMBEDDINGS and node.output == self.graph.ends[0]
        name = EMBEDDINGS if ends else self.name(layer.name)
        twin = type(layer).from_config({**layer.get_config(), "name": name})
        self.give(node.output, replace(source, values=twin(source.values)))

    def activation(self, node: Node) -> None:
        """Tanh; a ReLU is part of the layer before it."""
        source = self.plain(node)
        if activation_of(node.layer) == "linear":
            self.give(node.output, source)
        elif _is_tanh(node.layer):
            self.give(node.output, self._tanh(self.name(node.layer.name), source))
        else:
            raise no_twin(node.layer)

    def softmax(self, node: Node) -> None:
        """Softmax over the last axis, or over the time of [batch, time, 1]."""
        layer, source = node.layer, self.plain(node)
        shape, row = source.values.shape, False
        if layer.axis not in (-1, len(shape) - 1):
            row = layer.axis in (1, -2) and len(shape) == 3 and shape[2] == 1
            if not row:
                raise no_twin(layer)
            values = _layers.Reshape((1, shape[1]), name=self.name(f"{layer.name}_row"))(source.values)
        else:
            values = source.values
        values = _layers.Softmax(name=self.name(layer.name))(values)
        fixed = self.fixed(0.0, 1.0, f"{layer.name}_range", values)
        self.give(node.output, replace(fixed, row=row))

    def weighted_mean(self, node: Node) -> None:
        """Product of softmax weights [batch, time, 1] and embeddings [batch, time, size] over time."""
        weights, embeddings = (self.signal(value) for value in node.inputs)
        axes = node.layer.axes
        if (axes if isinstance(axes, int) else tuple(axes)) not in (1, (1, 1)) or not weights.row or embeddings.row:
            raise no_twin(node.layer)
        twin = WeightedMean(name=self.name(node.layer.name))
        values, step = twin(
            embeddings.values, weights=weights.values, input_step=embeddings.step, weight_step=weights.step
        )
        self.give(node.output, self.ranged(twin.name, node.output, values, step))

    def _tanh(self, name: str, signal: Signal) -> Signal:
        values = _layers.Activation("tanh", name=name)(signal.values)
        return self.fixed(-1.0, 1.0, f"{name}_range", values)

    def _with_relu(self, node: Node) -> tuple[int, tuple[int, ...]]:
        """The value after a call and the ReLU that follows it, if any, and the values between."""
        following = self.graph.next_alone(node.output)
        if following and is_relu(following.layer):
            return following.output, (node.output,)
        return node.output, ()


def _is_tanh(layer: Any) -> bool:
    return type(layer) is _layers.Activation and activation_of(layer) == "tanh"


def _zero_point(scheme: Scheme, positive: bool) -> int | None:
    if scheme.symmetric:
        return 0
    return -(2 ** (scheme.bits - 1)) if positive else None
