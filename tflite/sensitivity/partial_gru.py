"""The float counterpart of a fake-quantized GRU: the same weights, and nothing rounds."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from keras_mtl.tflite.qat import FakeQuantGRU


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
