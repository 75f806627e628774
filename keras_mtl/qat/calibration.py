"""Sets the ranges of a twin from real inputs, operator after operator.

Each range is set on what the operators before it give once they are quantized.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_mtl.core import ConversionError
from keras_mtl.qat.batches import arrays_of, batches_of, nodes_of
from keras_mtl.tflite.kinds import Grid, Operator
from keras_mtl.tflite.qat import best_range

#: How a range follows from the values of a tensor.
METHODS = ("error", "minmax", "percentile", "moving_average")
_MOST_VALUES = 200_000


def calibrate(
    twin: keras.Model,
    batches: Any,
    method: str = "error",
    *,
    percentile: float = 99.99,
    momentum: float = 0.9,
) -> None:
    """Sets all ranges of a twin, in place. Without training after it this is post-training quantization.

    Ranges of 8 bits are set by the method. Those of 16 bits hold the largest value by all methods but "percentile",
    and twice as much: they have steps to spare. In training, `learning` of `quantize_model` goes on from here.

    Args:
        twin: a model of `quantize_model`.
        batches: inputs as `twin` takes them: an array [n, ...], a list or dict of arrays of several inputs, or an
            iterable (a `tf.data.Dataset`) of batches, of which a second element (labels) is left aside.
        method: "error": where the mean square error of clipping and rounding is least; "minmax": the extremes;
            "percentile": of the absolute values, in percent, as `percentile` says; "moving_average": of the batches'
            extremes, the part `momentum` of what it was.
        percentile: of "percentile".
        momentum: of "moving_average".

    Raises:
        ConversionError: no inputs, values that are not finite, or an unknown method.
    """
    if method not in METHODS:
        raise ConversionError(f"unknown method {method!r}", hint=f"one of {', '.join(METHODS)}")
    given = [arrays_of(twin, batch) for batch in batches_of(twin, batches)]
    if not given or not all(np.isfinite(array).all() for batch in given for array in batch):
        raise ConversionError("calibration needs finite inputs", hint="give some hundred examples of real inputs")
    set_range = {
        "error": lambda grid, seen: best_range(grid, _thinned(seen)),
        "minmax": lambda grid, seen: _extremes(grid, *_ends(seen)),
        "percentile": lambda grid, seen: _extremes(grid, *_percentiles(_thinned(seen), percentile)),
        "moving_average": lambda grid, seen: _extremes(grid, *_moved(seen, momentum)),
    }[method]
    _walk(twin, given, set_range)


def _walk(
    twin: keras.Model, given: list[list[np.ndarray]], range_of: Callable[[Grid, list[np.ndarray]], tuple[float, float]]
) -> None:
    """Computes a twin once, operator after operator on all batches, and sets each range as its turn comes."""
    values = {id(port): [tf.constant(batch[i]) for batch in given] for i, port in enumerate(twin.inputs)}
    nodes = nodes_of(twin)
    last_use = {id(tensor): number for number, node in enumerate(nodes) for tensor in node.input_tensors}
    done: set[int] = set()
    for number, node in enumerate(nodes):
        layer = node.operation
        here = [{key: one[batch] for key, one in values.items()} for batch in range(len(given))]
        arguments = [node.arguments.fill_in(one) for one in here]
        if isinstance(layer, Operator) and layer.grids():
            _set_ranges(layer, arguments, range_of, again=id(layer) in done)
            done.add(id(layer))
        made = [keras.tree.flatten(layer(*args, **named)) for args, named in arguments]
        for one, out in zip(zip(*made, strict=True), node.outputs, strict=True):
            values[id(out)] = list(one)
        for tensor in node.input_tensors:
            if last_use[id(tensor)] == number:
                values.pop(id(tensor), None)


def _set_ranges(
    layer: Operator,
    arguments: list[Any],
    range_of: Callable[[Grid, list[np.ndarray]], tuple[float, float]],
    again: bool,
) -> None:
    """Sets the ranges of an operator; of one that is called once more they are widened."""
    for grid in layer.grids():
        grid.observed = []
    for operator in layer.operators():
        operator.rounds = False
    for args, named in arguments:
        layer(*args, **named)
    for operator in layer.operators():
        operator.rounds = True
    for grid in layer.grids():
        seen, grid.observed = [np.ravel(np.asarray(each)) for each in grid.observed or []], None
        low, high = range_of(grid, seen)
        if again:
            low, high = min(low, float(grid.low)), max(high, float(grid.high))
        grid.set_range(low, high)


def _thinned(seen: list[np.ndarray]) -> np.ndarray:
    """Some of the values, and the extremes of all."""
    total = sum(each.size for each in seen)
    every = max(1, -(-total // _MOST_VALUES))
    return np.concatenate([*(each[::every] for each in seen), _ends(seen)])


def _ends(seen: list[np.ndarray]) -> np.ndarray:
    return np.array([min(each.min() for each in seen), max(each.max() for each in seen)])


def _percentiles(values: np.ndarray, percentile: float) -> tuple[float, float]:
    limit = float(np.percentile(np.abs(values), percentile))
    return max(float(values.min()), -limit), min(float(values.max()), limit)


def _moved(seen: list[np.ndarray], momentum: float) -> tuple[float, float]:
    low, high = float(seen[0].min()), float(seen[0].max())
    for each in seen[1:]:
        low += (1.0 - momentum) * (float(each.min()) - low)
        high += (1.0 - momentum) * (float(each.max()) - high)
    return low, high


def _extremes(grid: Grid, low: float, high: float) -> tuple[float, float]:
    low, high = min(low, 0.0), max(high, 1e-3 if low == 0.0 else 0.0, 1e-6)
    if grid.symmetric:
        limit = grid.headroom * max(-low, high)
        return -limit, limit
    return low, high
