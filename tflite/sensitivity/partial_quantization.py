"""Runs a quantization-aware twin with only some of its layers rounding, the others computing in float.

The twin itself is not changed: its graph is walked, and in place of a layer that is not to round its float counterpart
is called. Steps are handed on all the same, so that a layer that rounds does so on the levels that it always has. This
runs eagerly, without a trace for each choice of layers.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import keras
import tensorflow as tf

from keras_mtl.tflite.qat import (
    AveragePool,
    FakeQuant,
    FakeQuantConv2D,
    FakeQuantDense,
    FakeQuantDepthwiseConv2D,
    FakeQuantGRU,
    ReciprocalRoot,
    both_steps,
    fake_quant_per_channel,
    fake_quant_per_tensor,
)

_RANGE = "_range"
_SMALLEST = 1e-24


def gru_in_float(layer: FakeQuantGRU, inputs: Any, input_step: Any) -> Any:
    """Inputs [batch, time, features] to the states [batch, time, units], in the order of the inputs."""
    cell = layer.cell
    read = tf.stack([tf.matmul(inputs, part.kernel) + part.bias for part in cell.inputs_of])
    kernel = tf.stack([tf.convert_to_tensor(part.kernel) for part in cell.states_of])
    bias = tf.stack([tf.convert_to_tensor(part.bias) for part in cell.states_of])
    return _states(read, kernel, bias, tf.constant(layer.go_backwards))


@tf.function(reduce_retracing=True)
def _states(read: Any, kernel: Any, bias: Any, backwards: Any) -> Any:
    """What the input adds to each gate [gates, batch, time, units], to the states; z, r and c as in `gru`."""
    steps = tf.transpose(read, (2, 0, 1, 3))
    steps = tf.cond(backwards, lambda: tf.reverse(steps, [0]), lambda: steps)

    def advance(state: Any, step: Any) -> Any:
        recurrent = tf.matmul(tf.broadcast_to(state, tf.shape(step)), kernel) + bias[:, None]
        update, reset = tf.sigmoid(step[0] + recurrent[0]), tf.sigmoid(step[1] + recurrent[1])
        candidate = tf.tanh(step[2] + reset * recurrent[2])
        return candidate + update * (state - candidate)

    states = tf.scan(advance, steps, tf.zeros_like(steps[0, 0]), parallel_iterations=1)
    states = tf.cond(backwards, lambda: tf.reverse(states, [0]), lambda: states)
    return tf.transpose(states, (1, 0, 2))


@dataclass(frozen=True)
class Part:
    """What is quantized together: an operator with its weights and the range of what it gives.

    Attributes:
        name: of the operator; of what an input or an operator without weights gives, too.
        kind: of the layer, as "Conv2D"; "range" where there is nothing but a range.
        layers: names of the twin's layers that round for it.
        ranges: those of them that round its activations.
    """

    name: str
    kind: str
    layers: tuple[str, ...]
    ranges: tuple[str, ...]


def run_partly(
    model: keras.Model, inputs: Any, rounding: Container[str], compiled: Mapping[str, Callable[..., Any]] | None = None
) -> Any:
    """What a twin gives if only some of its layers round.

    Args:
        model: a functional model of quantization-aware layers.
        inputs: [batch, ...].
        rounding: names of the layers that round, of `parts_of`. With all of them this is the twin, to the bit.
        compiled: what is called in place of a layer that rounds, by its name: a `tf.function` of it.

    Returns:
        The model's outputs.
    """
    stand_ins = compiled or {}

    def chosen(layer: Any) -> Any:
        counterpart = _IN_FLOAT.get(type(layer))
        if counterpart is None or layer.name in rounding:
            return stand_ins.get(layer.name, layer)
        return partial(counterpart, layer)

    return model._run_through_graph(tf.convert_to_tensor(inputs), chosen)


def parts_of(model: keras.Model) -> list[Part]:
    """All that rounds in a twin, in the order of computation."""
    found: dict[str, Part] = {}
    for layer in model.layers:
        if type(layer) not in _IN_FLOAT:
            continue
        name = part_name(layer)
        if not isinstance(layer, FakeQuant):
            found[name] = Part(name, type(layer).__name__.removeprefix("FakeQuant"), (layer.name,), ())
        else:
            part = found.get(name, Part(name, "range", (), ()))
            found[name] = Part(name, part.kind, (*part.layers, layer.name), (*part.ranges, layer.name))
    return list(found.values())


def part_name(layer: Any) -> str:
    """Name of the part that a layer that rounds belongs to."""
    return layer.name.removesuffix(_RANGE) if isinstance(layer, FakeQuant) else layer.name


def _range(layer: FakeQuant, inputs: Any, accumulator_step: Any = None) -> tuple[Any, Any]:
    scale, _ = layer.scale_and_zero_point()
    return inputs, tf.constant(scale)


def _convolution(layer: FakeQuantConv2D, inputs: Any, input_step: Any) -> tuple[Any, Any]:
    _, steps = fake_quant_per_channel(tf.convert_to_tensor(layer.kernel))
    return keras.layers.Conv2D.call(layer, inputs), both_steps(input_step, steps)


def _depthwise(layer: FakeQuantDepthwiseConv2D, inputs: Any, input_step: Any) -> tuple[Any, Any]:
    kernel = tf.convert_to_tensor(layer.kernel)
    flat = tf.reshape(kernel, (*kernel.shape[:2], kernel.shape[2] * kernel.shape[3]))
    _, steps = fake_quant_per_channel(flat, layer.smallest_limit)
    return keras.layers.DepthwiseConv2D.call(layer, inputs), both_steps(input_step, steps)


def _dense(layer: FakeQuantDense, inputs: Any, input_step: Any, training: Any = None) -> tuple[Any, Any]:
    _, step = fake_quant_per_tensor(tf.convert_to_tensor(layer.kernel))
    return keras.layers.Dense.call(layer, inputs), both_steps(input_step, step)


def _average(layer: AveragePool, inputs: Any, input_step: Any) -> Any:
    return keras.layers.AveragePooling2D.call(layer, inputs)


def _reciprocal_root(layer: ReciprocalRoot, inputs: Any, input_step: Any) -> tuple[Any, Any]:
    _, step = layer.call(inputs, input_step)
    return tf.math.rsqrt(tf.maximum(inputs, _SMALLEST)), step


#: What a layer that rounds computes in float, by its kind: called with the layer and its arguments.
_IN_FLOAT: dict[type, Callable[..., Any]] = {
    FakeQuant: _range,
    FakeQuantConv2D: _convolution,
    FakeQuantDepthwiseConv2D: _depthwise,
    FakeQuantDense: _dense,
    FakeQuantGRU: gru_in_float,
    AveragePool: _average,
    ReciprocalRoot: _reciprocal_root,
}
