"""Activations: what is part of the operator before it, what has an operator of its own, and what is a table."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_mtl.tflite.flatbuffer import GraphWriter, Value
from keras_mtl.tflite.kinds import fixed_point
from keras_mtl.tflite.kinds.elementwise import Add, Multiply
from keras_mtl.tflite.kinds.grid import Signal, instead
from keras_mtl.tflite.kinds.operator import Operator
from keras_mtl.tflite.kinds.registry import Call, register
from keras_mtl.tflite.kinds.shapes import reshaped
from keras_mtl.tflite.kinds.weighted import DepthwiseConvolution
from keras_mtl.tflite.qat import activation_name, relu_of, unsupported

_layers = keras.layers
_INT8, _INT32 = 9, 2  # of the schema
#: Functions of one value that are a table of 256 entries in the file.
TABLES: dict[str, Callable[[Any], Any]] = {
    "elu": tf.nn.elu,
    "selu": tf.nn.selu,
    "celu": tf.nn.elu,
    "gelu": lambda x: 0.5 * x * (1.0 + tf.math.erf(x / math.sqrt(2.0))),
    "softplus": tf.nn.softplus,
    "softsign": tf.nn.softsign,
    "exponential": tf.exp,
    "mish": lambda x: x * tf.tanh(tf.nn.softplus(x)),
}
#: Of these the output is not negative.
_POSITIVE = ("softplus", "exponential")


@keras.saving.register_keras_serializable(package="keras_mtl")
class Rectified(Operator):
    """RELU or LEAKY_RELU onto a grid of its own.

    Args:
        slope: of negative values; 0 for a ReLU.
        **options: options of `Operator`.
    """

    def __init__(self, slope: float = 0.0, **options: Any) -> None:
        super().__init__(**options)
        self.slope = slope

    def real(self, *values: Any) -> Any:
        """max(x, 0) + slope min(x, 0)."""
        return tf.nn.leaky_relu(values[0], self.slope) if self.slope else tf.nn.relu(values[0])

    def levels(self, *parts: Any) -> Any:
        """The same with a multiplier for each side."""
        values, step, _ = parts
        above = fixed_point.rescaled(values, step, self.target)
        below = (
            fixed_point.rescaled(values, step, self.target, tf.constant(self.slope, tf.float32))
            if self.slope
            else 0 * above
        )
        return tf.where(values >= 0.0, above, below)

    def to_file(self, writer: GraphWriter, *values: Value) -> Value:
        """RELU or LEAKY_RELU."""
        (source,) = values
        if self.slope:
            options = ("LeakyReluOptions", {"alpha": self.slope})
            return self.grid.on_grid(writer.operator("LEAKY_RELU", [source], source.shape, 2, options, self.name))
        return self.grid.on_grid(writer.operator("RELU", [source], source.shape, 2, name=self.name))

    def get_config(self) -> dict[str, Any]:
        """All constructor arguments."""
        return {**super().get_config(), "slope": self.slope}


@keras.saving.register_keras_serializable(package="keras_mtl")
class Squashed(Operator):
    """LOGISTIC, TANH or SOFTMAX over the last axis, on the grid that the format fixes.

    Args:
        function: "sigmoid", "tanh" or "softmax".
        bits: 8 or 16.
        **options: options of `Operator`.
    """

    def __init__(self, function: str, bits: int, **options: Any) -> None:
        super().__init__(**options)
        self.function, self.bits = function, bits

    def fixed(self) -> tuple[float, int]:
        """Step and zero point."""
        if self.bits == 16:
            return 2.0**-15, 0
        return (2.0**-7, 0) if self.function == "tanh" else (2.0**-8, -128)

    def call(self, *parts: Any, training: Any = None) -> Any:
        """A signal to a signal."""
        real, (target, zero) = self.real(parts[0]), self.fixed()
        end = tf.constant(target), tf.constant(float(zero))
        if not self.rounds:
            return real, *end
        least, most = -(2 ** (self.bits - 1)) - zero, 2 ** (self.bits - 1) - 1 - zero
        made = tf.clip_by_value(tf.cast(self.levels(*parts), tf.float32), float(least), float(most))
        return instead(made * target, real), *end

    def real(self, *values: Any) -> Any:
        """The function."""
        return {"sigmoid": tf.sigmoid, "tanh": tf.tanh, "softmax": tf.nn.softmax}[self.function](values[0])

    def levels(self, *parts: Any) -> Any:
        """Of 8 bits the nearest, since kernels have digits to spare; of 16 what their tables give."""
        values, step, _ = parts
        if self.bits == 8:
            return tf.floor(self.real(values) / self.fixed()[0] + 0.5)
        whole = fixed_point.whole(values / step)
        if self.function == "softmax":
            return fixed_point.softmax_16(whole, step)
        return fixed_point.squashed_16(whole, step, self.function == "tanh")

    def to_file(self, writer: GraphWriter, *values: Value) -> Value:
        """LOGISTIC, TANH or SOFTMAX."""
        (source,) = values
        op = {"sigmoid": "LOGISTIC", "tanh": "TANH", "softmax": "SOFTMAX"}[self.function]
        options = ("SoftmaxOptions", {"beta": 1.0}) if op == "SOFTMAX" else None
        made = writer.operator(op, [source], source.shape, 2 if self.bits == 8 else 3, options, self.name)
        return made.on_grid(self.bits, *self.fixed())

    def get_config(self) -> dict[str, Any]:
        """All constructor arguments."""
        return {**super().get_config(), "function": self.function, "bits": self.bits}


@keras.saving.register_keras_serializable(package="keras_mtl")
class Table(Operator):
    """Any function of one value of 8 bits, as a table of 256 entries: CAST, ADD of 128, GATHER.

    Args:
        function: one of `TABLES`.
        **options: options of `Operator`.
    """

    def __init__(self, function: str, **options: Any) -> None:
        super().__init__(**options)
        self.function = function

    def real(self, *values: Any) -> Any:
        """The function."""
        return TABLES[self.function](values[0])

    def levels(self, *parts: Any) -> Any:
        """The nearest."""
        return tf.floor(self.real(parts[0]) / self.target + 0.5)

    def to_file(self, writer: GraphWriter, *values: Value) -> Value:
        """CAST, ADD and GATHER."""
        (source,) = values
        step, zero = self.grid.levels()
        real = (np.arange(-128, 128) - source.zero_point).astype(np.float32) * np.float32(source.scale)
        made, _, _ = self.grid(TABLES[self.function](tf.constant(real)))
        entries = np.rint(np.asarray(made) / np.asarray(step)) + np.asarray(zero)
        entries = np.clip(entries, -128, 127)
        table = writer.constant(f"{self.name}/table", entries, "int8", step.numpy(), int(zero.numpy()))
        options = ("CastOptions", {"inDataType": _INT8, "outDataType": _INT32})
        index = writer.operator("CAST", [source], source.shape, 1, options, f"{self.name}/cast")
        first = writer.constant("table/first", np.full((1,) * len(source.shape), 128), "int32")
        place = writer.operator("ADD", [index, first], source.shape, 1, ("AddOptions", {}), f"{self.name}/index")
        index.dtype = place.dtype = "int32"
        gathered = ("GatherOptions", {"axis": 0})
        return self.grid.on_grid(writer.operator("GATHER", [table, place], source.shape, 2, gathered, self.name))

    def get_config(self) -> dict[str, Any]:
        """All constructor arguments."""
        return {**super().get_config(), "function": self.function}


def activated(call: Call, name: str, signal: Signal) -> Signal:
    """An activation function by its name, after a signal of a layer's twin.

    Raises:
        ConversionError: one that is not known.
    """
    if name == "linear":
        return signal
    if name in ("relu", "relu6"):
        most = 6.0 if name == "relu6" else None
        return call.apply(call.operator(Rectified, name, grid=call.grid(True, most=most)), signal)
    if name == "leaky_relu":
        return call.apply(call.operator(Rectified, name, slope=0.2, grid=call.grid()), signal)
    if name in ("sigmoid", "tanh", "softmax"):
        return call.apply(call.operator(Squashed, name, function=name, bits=call.bits), signal)
    if name in ("hard_sigmoid", "hard_silu", "hard_swish"):
        gate = _hard_sigmoid(call, signal)
        return gate if name == "hard_sigmoid" else _product(call, signal, gate)
    if name in ("silu", "swish"):
        gate = call.apply(call.operator(Squashed, "gate", function="sigmoid", bits=call.bits), signal)
        return _product(call, signal, gate)
    if name in TABLES:
        return table(call, name, signal)
    known = ["relu", "relu6", "leaky_relu", "sigmoid", "tanh", "softmax", "hard_sigmoid", "hard_silu", "silu", *TABLES]
    raise unsupported(call.layer, f"activation {name}, which has no twin", f"one of {', '.join(known)}")


def table(call: Call, name: str, signal: Signal) -> Signal:
    """A function by its table: of 8 bits, between QUANTIZE where the layer has 16."""
    coarse = call.in_bits(signal, 8, f"{call.layer.name}_coarse")
    made = call.operator(Table, name, function=name, grid=call.grid(name in _POSITIVE, bits=8))
    return call.in_bits(call.apply(made, coarse), call.bits, f"{call.layer.name}_fine")


def _hard_sigmoid(call: Call, signal: Signal) -> Signal:
    """min(max(x / 6 + 1/2, 0), 1): a multiply-add with a ReLU, on a grid that ends at 1."""
    shape = signal.shape[1:]
    row = signal if len(shape) == 3 else reshaped(call, signal, (1, math.prod(shape[:-1]), shape[-1]), "gate_row")
    kernel = np.full((1, 1, shape[-1], 1), 1.0 / 6.0, np.float32)
    top: dict[str, Any] = {"fixed": True, "high": 1.0, "low": -1.0 if call.bits == 16 else 0.0}
    gate = call.operator(
        DepthwiseConvolution, "gate", kernel_shape=kernel.shape, rectified=True, grid=call.grid(True, **top)
    )
    gate.set_weights([kernel, np.full(shape[-1], 0.5, np.float32), *gate.get_weights()[2:]])
    gate.trainable = False
    made = call.apply(gate, row)
    return made if len(shape) == 3 else reshaped(call, made, shape, "gate_back")


def _product(call: Call, signal: Signal, gate: Signal) -> Signal:
    return call.apply(call.operator(Multiply, "product", grid=call.grid()), signal, gate)


@register(_layers.Activation)
def activation(call: Call) -> Signal:
    """By the function's name."""
    return activated(call, activation_name(call.layer.activation), call.input)


@register(_layers.ReLU)
def relu(call: Call) -> Signal:
    """RELU; one with a largest value has a grid that ends there."""
    layer = call.layer
    found, most = relu_of(layer)
    if not found:
        if layer.max_value is not None or layer.threshold:
            raise unsupported(layer, "a slope or a threshold beside a largest value", "use LeakyReLU")
        return call.apply(call.operator(Rectified, slope=float(layer.negative_slope), grid=call.grid()), call.input)
    return call.apply(call.operator(Rectified, grid=call.grid(True, most=most)), call.input)


@register(_layers.LeakyReLU)
def leaky_relu(call: Call) -> Signal:
    """LEAKY_RELU."""
    made = call.operator(Rectified, slope=float(call.layer.negative_slope), grid=call.grid())
    return call.apply(made, call.input)


@register(_layers.ELU)
def elu(call: Call) -> Signal:
    """A table."""
    if float(call.layer.alpha) != 1.0:
        raise unsupported(call.layer, f"alpha {call.layer.alpha}", "alpha 1")
    return table(call, "elu", call.input)


@register(_layers.Softmax)
def softmax(call: Call) -> Signal:
    """SOFTMAX over the last axis."""
    if call.layer.axis not in (-1, len(call.input.shape) - 1):
        raise unsupported(call.layer, f"axis {call.layer.axis}", "the last axis, behind a Permute")
    return call.apply(call.operator(Squashed, function="softmax", bits=call.bits), call.input)


@register(_layers.PReLU)
def prelu(call: Call) -> Signal:
    """max(x, 0) + slope min(x, 0), of slopes by channel: two multiply-adds and an ADD."""
    layer, signal = call.layer, call.input
    slopes, shape = np.asarray(layer.get_weights()[0]), signal.shape[1:]
    if any(size != 1 for size in slopes.shape[:-1]):
        raise unsupported(
            layer, "slopes by place", f"shared_axes={[*range(1, len(shape))]}, so that they are by channel"
        )
    row = signal if len(shape) == 3 else reshaped(call, signal, (1, math.prod(shape[:-1]), shape[-1]), "row")
    ones = np.ones((1, 1, shape[-1], 1), np.float32)
    zeros = np.zeros(shape[-1], np.float32)
    parts = []
    for role, sign in (("above", 1.0), ("below", -1.0)):
        made = call.operator(DepthwiseConvolution, role, kernel_shape=ones.shape, rectified=True, grid=call.grid(True))
        made.set_weights([sign * ones, zeros, *made.get_weights()[2:]])
        made.trainable = False
        parts.append(call.apply(made, row))
    slope = call.operator(DepthwiseConvolution, "slope", kernel_shape=ones.shape, grid=call.grid())
    below = call.apply(call.takes_weights(slope, -ones * slopes.reshape(1, 1, -1, 1), zeros), parts[1])
    made = call.apply(call.operator(Add, grid=call.grid()), parts[0], below)
    return made if len(shape) == 3 else reshaped(call, made, shape, "back")
