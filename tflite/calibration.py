"""Sets the activation ranges of a quantization-aware model from real inputs, layer after layer.

Each range is set on what the layers before it give once they are quantized. 8-bit ranges are cut where the mean square
error of clipping and rounding is least; 16-bit ranges hold every value seen, and headroom.
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from keras_mtl.errors import ConversionError
from keras_mtl.tflite.fake_quant import FakeQuant
from keras_mtl.tflite.scheme import scale_and_zero_point

_BATCH = 32
_MOST_VALUES = 200_000
_CUTS = np.linspace(0.3, 1.0, 36)


def calibrate(model: keras.Model, inputs: np.ndarray) -> None:
    """Sets all ranges of a model from `build_qat`, in place.

    Args:
        model: the quantization-aware model.
        inputs: normalised log-mel [n, frames, mel_bands]; some 100 to 200 clips of the training set.

    Raises:
        ConversionError: no inputs, or values that are not finite.
    """
    inputs = np.asarray(inputs, np.float32)
    if not len(inputs) or not np.isfinite(inputs).all():
        raise ConversionError("calibration needs finite log-mel clips", hint="check the run's calibration samples")
    inputs = inputs.reshape(len(inputs), *model.input_shape[1:])
    for layer in ranges(model):
        if not layer.fixed:
            observed = keras.Model(model.input, layer.input)
            layer.set_range(*_best_range(layer, _observe(observed, inputs)))


def ranges(model: keras.Model) -> list[FakeQuant]:
    """The activation ranges of a model, in the order of computation."""
    return [layer for layer in model.layers if isinstance(layer, FakeQuant)]


def _observe(model: keras.Model, inputs: np.ndarray) -> np.ndarray:
    """All values of a tensor over the inputs, flat; thinned evenly, with the two extremes kept."""
    parts: list[Any] = []
    limit = max(1, _MOST_VALUES * _BATCH // len(inputs))
    for start in range(0, len(inputs), _BATCH):
        observed = keras.tree.flatten(model(inputs[start : start + _BATCH], training=False))
        values = np.asarray(observed[0]).ravel()  # the other input is the step of the accumulators
        step = -(-values.size // limit)
        parts += [values[::step], [values.min(), values.max()]]
    return np.concatenate(parts)


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
