"""What helps a twin that is not trained: equal channels before its calibration, corrected biases after it."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_mtl.core import ConversionError
from keras_mtl.qat.batches import arrays_of, batches_of, nodes_of
from keras_mtl.tflite.kinds import DepthwiseConvolution, Mean, Operator, Pool, Weighted

#: Between two operators with weights these let a factor of a channel through.
_LINEAR = (Pool, Mean)
_SMALLEST = 1e-8


def equalise(twin: keras.Model) -> int:
    """Cross-layer equalisation, in place: channels between two operators get weights of one size on either side.

    With r1 and r2 the largest weights that make and read a channel, the first are divided by sqrt(r1 / r2) and the
    others multiplied by it; a ReLU between lets a factor through (Nagel et al. 2019, arXiv 1906.04721, equation 11).
    Before `calibrate`, since ranges change. Operators that are called more than once stay as they are.

    Args:
        twin: a model of `quantize_model`.

    Returns:
        How many pairs of operators were equalised.
    """
    nodes = nodes_of(twin)
    readers: dict[int, list[Any]] = {}
    for node in nodes:
        for tensor in node.input_tensors:
            readers.setdefault(id(tensor), []).append(node)
    ends = {id(tensor) for tensor in twin.outputs}
    calls: dict[int, int] = {}
    for node in nodes:
        calls[id(node.operation)] = calls.get(id(node.operation), 0) + 1
    made = 0
    for node in nodes:
        second = _reader(node, readers, ends)
        while second is not None and isinstance(second.operation, _LINEAR):
            second = _reader(second, readers, ends)
        if second is None or not isinstance(node.operation, Weighted) or not isinstance(second.operation, Weighted):
            continue
        one, other = node.operation, second.operation
        if calls[id(one)] == calls[id(other)] == 1 and one.grid.most is None:
            made += _equalise(one, other)
    return made


def _reader(node: Any, readers: dict[int, list[Any]], ends: set[int]) -> Any:
    """The one call that reads a call's values."""
    values = node.outputs[0]
    found = readers.get(id(values), [])
    return found[0] if len(found) == 1 and id(values) not in ends else None


def _equalise(one: Weighted, other: Weighted) -> int:
    kernel, bias, *kept = one.get_weights()
    reading, *others = other.get_weights()
    if isinstance(one, DepthwiseConvolution) and kernel.shape[3] != 1:
        return 0
    made, read = (
        np.max(np.abs(np.moveaxis(weights, axis, 0)).reshape(weights.shape[axis], -1), axis=1)
        for weights, axis in ((kernel, one.output_axis), (reading, other.input_axis))
    )
    if len(made) != len(read):  # a reshape in between, which is no operator here
        return 0
    factor = np.sqrt(np.maximum(made, _SMALLEST) / np.maximum(read, _SMALLEST)).astype(np.float32)
    one.set_weights([kernel / _along(factor, kernel, one.output_axis), bias / factor, *kept])
    other.set_weights([reading * _along(factor, reading, other.input_axis), *others])
    return 1


def _along(factor: np.ndarray, weights: np.ndarray, axis: int) -> np.ndarray:
    return factor.reshape([-1 if each == axis else 1 for each in range(weights.ndim)])


def correct_biases(twin: keras.Model, batches: Any) -> None:
    """Bias correction, in place: takes the mean that rounding adds to a channel out of its bias.

    Each operator with weights is computed twice, on what the float network has there and on what the twin has; the
    mean difference before the ReLU goes into the bias (Nagel et al. 2019, section 4.2, from data). After `calibrate`.

    Args:
        twin: a calibrated model of `quantize_model`.
        batches: as of `calibrate`.

    Raises:
        ConversionError: no inputs.
    """
    given = [arrays_of(twin, batch) for batch in batches_of(twin, batches)]
    if not given:
        raise ConversionError("bias correction needs inputs", hint="give some hundred examples of real inputs")
    ports = [tf.constant(np.concatenate(each)) for each in zip(*given, strict=True)]
    exact = {id(port): values for port, values in zip(twin.inputs, ports, strict=True)}
    rounded = dict(exact)
    for node in nodes_of(twin):
        layer = node.operation
        arguments = [node.arguments.fill_in(values) for values in (exact, rounded)]
        if isinstance(layer, Weighted):
            difference = layer.before_relu(arguments[0][0][0]) - layer.before_relu(arguments[1][0][0], rounded=True)
            channels = tuple(range(len(difference.shape) - 1))
        for values, (args, named), rounds in zip((exact, rounded), arguments, (False, True), strict=True):
            if isinstance(layer, Weighted) and rounds:
                layer.bias.assign_add(tf.cast(tf.reduce_mean(difference, channels), tf.float32))
            for operator in layer.operators() if isinstance(layer, Operator) else ():
                operator.rounds = rounds
            made = keras.tree.flatten(layer(*args, **named))
            values.update({id(out): one for out, one in zip(node.outputs, made, strict=True)})
