"""Operations of `keras.ops` and Python's operators on tensors, where a layer does the same."""

from __future__ import annotations

from typing import Any

import keras

from keras_mtl.tflite.kinds.activations import activated
from keras_mtl.tflite.kinds.elementwise import add, multiply, subtract
from keras_mtl.tflite.kinds.grid import Signal
from keras_mtl.tflite.kinds.registry import Call, register
from keras_mtl.tflite.qat import Build, unsupported


def _class_of(function: Any, count: int) -> type:
    """The class of the operation that a function of tensors makes in a functional model."""
    tensors = [keras.KerasTensor((1, 2, 2, 1)) for _ in range(count)]
    return type(function(*tensors)._keras_history.operation)


def _of_two(build: Build) -> Build:
    def checked(call: Call) -> Any:
        if len(call.inputs) != 2:
            raise unsupported(call.layer, "a constant operand", "use Rescaling, which multiplies and adds constants")
        return build(call)

    return checked


for _function, _build in ((keras.ops.add, add), (keras.ops.subtract, subtract), (keras.ops.multiply, multiply)):
    register(_class_of(_function, 2))(_of_two(_build))


def _named(name: str) -> Build:
    def build(call: Call) -> Signal:
        return activated(call, name, call.input)

    return build


for _name in ("relu", "relu6", "sigmoid", "tanh", "silu", "hard_sigmoid", "hard_silu", "elu", "softplus", "gelu"):
    register(_class_of(getattr(keras.ops, _name), 1))(_named(_name))
