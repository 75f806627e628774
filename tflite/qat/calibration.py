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
    embed = _inference(encoder)
    for task, name in (("scenes", "scene_head"), ("events", "event_head")):
        if task in given:
            starts = range(0, len(given[task]), _BATCH)
            embeddings = [embed(given[task][start : start + _BATCH]).numpy() for start in starts]
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
    for layer in model.layers:
        if isinstance(layer, FakeQuantGRU):
            _calibrate_cell(layer, *_given(model, layer, inputs))
        elif isinstance(layer, FakeQuant) and not layer.fixed:
            observed = keras.Model(model.input, layer.input)
            layer.set_range(*_best_range(layer, _observe(observed, inputs)))


def _calibrate_cell(layer: FakeQuantGRU, inputs: Any, step: Any) -> None:
    """Sets the ranges inside a recurrent layer from one pass over sequences, in which none of them rounds."""
    for one, values in zip(*layer.observe(inputs, step), strict=True):
        if not one.fixed:
            one.set_range(*_best_range(one, _thinned(np.ravel(values))))


def _given(model: keras.Model, layer: FakeQuantGRU, inputs: np.ndarray) -> tuple[Any, Any]:
    """What a recurrent layer is called with: its inputs and their step, which is a number where they are states."""
    call = layer._inbound_nodes[0].arguments
    given = {"values": call.args[0], "step": call.kwargs["input_step"]}
    symbols = {key: value for key, value in given.items() if keras.backend.is_keras_tensor(value)}
    found = given | _inference(keras.Model(model.input, symbols))(inputs)
    return found["values"], found["step"]


def _observe(model: keras.Model, inputs: np.ndarray) -> np.ndarray:
    """All values of a tensor over the inputs, flat; thinned evenly, with the two extremes kept."""
    compiled = _inference(model)
    parts: list[Any] = []
    limit = max(1, _MOST_VALUES * _BATCH // len(inputs))
    for start in range(0, len(inputs), _BATCH):
        # Of two inputs of a range the other is the step of the accumulators.
        observed = keras.tree.flatten(compiled(inputs[start : start + _BATCH]))
        parts.append(_thinned(observed[0].numpy().ravel(), limit))
    return np.concatenate(parts)


def _inference(model: keras.Model) -> Any:
    """A model at inference, for batches of any size.

    Each range has a model of its own, whose few calls take less time than tracing it; loops over time are traced.
    """
    if not any(isinstance(layer, FakeQuantGRU) for layer in model._flatten_layers()):
        return lambda clips: model(tf.convert_to_tensor(clips), training=False)
    signature = tf.TensorSpec((None, *model.input_shape[1:]), tf.float32)
    return tf.function(lambda clips: model(clips, training=False), input_signature=[signature]).get_concrete_function()


def _thinned(values: np.ndarray, most: int = _MOST_VALUES) -> np.ndarray:
    return np.concatenate([values[:: -(-values.size // most)], [values.min(), values.max()]])


def _best_range(layer: FakeQuant, values: np.ndarray) -> tuple[float, float]:
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
