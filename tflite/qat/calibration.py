"""Sets the activation ranges of a quantization-aware model from real inputs, layer after layer.

Each range is set on what the layers before it give once they are quantized. 8-bit ranges are cut where the mean square
error of clipping and rounding is least; 16-bit ranges hold every value seen, and headroom.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_mtl.core import ConversionError
from keras_mtl.tflite.qat.fake_quant import FakeQuant
from keras_mtl.tflite.qat.gru import FakeQuantGRU
from keras_mtl.tflite.qat.scene_model import is_one_graph, join_interface
from keras_mtl.tflite.qat.scheme import scale_and_zero_point

_BATCH = 32
_MOST_VALUES = 200_000
_CUTS = np.linspace(0.3, 1.0, 36)


def calibrate(model: keras.Model, clips: Mapping[str, np.ndarray]) -> None:
    """Sets all ranges of a model from `build_qat`, in place.

    Args:
        model: the quantization-aware model.
        clips: {task: normalised log-mel of training clips, [n, frames, mel_bands]} for each task that the model has a
            decoder for; some 100 seconds of each. An encoder of its own is calibrated on all of them, cut to seconds
            or so.

    Raises:
        ConversionError: no inputs, or values that are not finite.
    """
    given = {task: _required(values)[..., None] for task, values in clips.items()}
    if is_one_graph(model):
        _calibrate(model, given["scenes"])
        return
    shortest = min(values.shape[1] for values in given.values())
    pieces = [values[:, : values.shape[1] // shortest * shortest] for values in given.values()]
    encoder = model.get_layer("encoder")
    _calibrate(encoder, np.concatenate([piece.reshape(-1, shortest, *piece.shape[2:]) for piece in pieces]))
    join_interface(model)
    for task, name in (("scenes", "scene_head"), ("events", "event_head")):
        if task in given:
            starts = range(0, len(given[task]), _BATCH)
            embeddings = [encoder(given[task][start : start + _BATCH], training=False).numpy() for start in starts]
            _calibrate(model.get_layer(name), np.concatenate(embeddings))


def ranges(model: keras.Model) -> list[FakeQuant]:
    """The activation ranges of a model, in the order of computation."""
    return [layer for layer in model.layers if isinstance(layer, FakeQuant)]


def _required(inputs: np.ndarray) -> np.ndarray:
    inputs = np.asarray(inputs, np.float32)
    if not len(inputs) or not np.isfinite(inputs).all():
        raise ConversionError("calibration needs finite log-mel clips", hint="check the run's calibration samples")
    return inputs


def _calibrate(model: keras.Model, inputs: np.ndarray) -> None:
    """Computes a model once, layer after layer on all inputs, and sets each range as its turn comes."""
    batches = [tf.convert_to_tensor(inputs[start : start + _BATCH]) for start in range(0, len(inputs), _BATCH)]
    values: dict[int, list[Any]] = {id(model.input): batches}
    nodes = [node for depth in sorted(model._nodes_by_depth, reverse=True) for node in model._nodes_by_depth[depth]]
    last_use = {id(tensor): number for number, node in enumerate(nodes) for tensor in node.input_tensors}
    for number, node in enumerate(nodes):
        if node.is_input:
            continue
        here = [{key: one[batch] for key, one in values.items()} for batch in range(len(batches))]
        given = [node.arguments.fill_in(one) for one in here]
        for one, out in zip(zip(*_computed(node.operation, given), strict=True), node.outputs, strict=True):
            values[id(out)] = list(one)
        for tensor in node.input_tensors:
            if last_use[id(tensor)] == number:
                values.pop(id(tensor), None)


def _computed(layer: Any, given: list[tuple[tuple[Any, ...], dict[str, Any]]]) -> list[list[Any]]:
    """What a layer makes of the arguments of each batch, flat; its ranges are set before."""
    call = layer
    if isinstance(layer, FakeQuantGRU):
        inputs, step = np.concatenate([args[0] for args, _ in given]), given[0][1]["input_step"]
        for one, seen in zip(*layer.observe(inputs, step), strict=True):
            if not one.fixed:
                one.set_range(*best_range(one, _thinned(np.ravel(seen))))
        # A loop over time is slow where it is not traced.
        call = tf.function(layer, reduce_retracing=True, autograph=False)
    elif isinstance(layer, FakeQuant) and not layer.fixed:
        # Of two inputs of a range the other is the step of the accumulators.
        most = max(1, _MOST_VALUES * _BATCH // sum(len(args[0]) for args, _ in given))
        parts = [_thinned(args[0].numpy().ravel(), most) for args, _ in given]
        layer.set_range(*best_range(layer, np.concatenate(parts)))
    return [keras.tree.flatten(call(*args, **named)) for args, named in given]


def _thinned(values: np.ndarray, most: int = _MOST_VALUES) -> np.ndarray:
    return np.concatenate([values[:: -(-values.size // most)], [values.min(), values.max()]])


def best_range(layer: FakeQuant, values: np.ndarray) -> tuple[float, float]:
    """The range of a layer for values: of 8 bits where the mean square error of clipping and rounding is least."""
    low, high = min(float(values.min()), 0.0), max(float(values.max()), 0.0)
    if layer.symmetric:
        limit = layer.headroom * max(-low, high, 1e-3)
        return -limit, limit
    high = max(high, 1e-3)  # a dead layer still needs a range
    errors = [_mean_square_error(values, cut * low, cut * high, layer) for cut in _CUTS]
    cut = float(_CUTS[int(np.argmin(errors))])
    return cut * low, cut * high


def _mean_square_error(values: np.ndarray, low: float, high: float, layer: FakeQuant) -> float:
    scale, zero_point = scale_and_zero_point(low, high, layer.bits, layer.symmetric)
    levels = np.rint(values / scale) + zero_point
    limit = 2 ** (layer.bits - 1)
    restored = (np.clip(levels, -limit, limit - 1) - zero_point) * scale
    return float(np.mean((restored - values) ** 2))
