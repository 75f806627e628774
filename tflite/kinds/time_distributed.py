"""TimeDistributed: the layer in it on all steps at once, as a batch."""

from __future__ import annotations

import keras

from keras_mtl.tflite.kinds.grid import Signal
from keras_mtl.tflite.kinds.registry import Call, register
from keras_mtl.tflite.kinds.shapes import reshaped


@register(keras.layers.TimeDistributed)
def time_distributed(call: Call) -> Signal:
    """RESHAPE to a batch of steps, the layer, RESHAPE back."""
    steps, *shape = call.input.shape[1:]
    made = call.build(call.layer.layer, reshaped(call, call.input, shape, "batch"))
    return reshaped(call, made, (steps, *made.shape[1:]), "steps")
