"""Sets tfmot's ranges from real inputs. For worker processes only, see `twin`.

tfmot's moving averages start at +-6 and take in a thousandth of each batch, so that after a short training they say
little about the network. Here each starts where its average would come to rest: at the mean of what batches reach.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_model_optimization as tfmot
import tf_keras

from keras_mtl.core import ConversionError

_quantizers: Any = tfmot.quantization.keras.quantizers
_BATCH = 64
_LEAST = 1e-3  # a dead layer still needs a range


class _Observer(tfmot.quantization.keras.quantizers.Quantizer):
    """Stands in for a quantizer for one call: sets its range on what is given, and then quantizes with it."""

    def __init__(self, quantizer: Any) -> None:
        self.quantizer = quantizer

    def build(self, tensor_shape: Any, name: str, layer: Any) -> None:
        """Nothing: the variables are those of the quantizer."""

    def __call__(self, inputs: Any, training: Any, weights: Mapping[str, Any], **options: Any) -> Any:
        """Values to quantized values."""
        batches = [inputs[start : start + _BATCH] for start in range(0, len(inputs), _BATCH)]
        lows = [min(0.0, float(tf.reduce_min(batch))) for batch in batches]
        highs = [max(_LEAST, float(tf.reduce_max(batch))) for batch in batches]
        all_values = isinstance(self.quantizer, _quantizers.AllValuesQuantizer)
        weights["min_var"].assign(min(lows) if all_values else np.mean(lows))
        weights["max_var"].assign(max(highs) if all_values else np.mean(highs))
        return self.quantizer(inputs, False, weights, **options)

    def get_config(self) -> dict[str, Any]:
        """Never saved."""
        return {}


def calibrate(model: tf_keras.Model, inputs: np.ndarray) -> None:
    """Sets all ranges of a model from `build_quantized`, in place, each on what the layers before it give quantized.

    Args:
        model: the quantized twin.
        inputs: normalised log-mel [n, frames, mel_bands]; some 100 to 200 clips of the training set.

    Raises:
        ConversionError: no inputs, or values that are not finite.
    """
    if not len(inputs) or not np.isfinite(inputs).all():
        raise ConversionError("calibration needs finite log-mel clips", hint="check the run's calibration samples")
    with _observing(model):
        model(tf.constant(inputs[..., None], tf.float32), training=True)  # sets the weights' ranges, too


@contextlib.contextmanager
def _observing(model: tf_keras.Model) -> Iterator[None]:
    """Puts observers in the place of the quantizers whose ranges move."""
    with contextlib.ExitStack() as stack:
        for layer in model.layers:
            for activation in getattr(layer, "_quantize_activations", []):
                stack.enter_context(_replaced(activation.__dict__, "quantizer"))
            if getattr(layer, "_output_quantizers", None):
                stack.enter_context(_replaced(layer._output_quantizers, 0))
            elif hasattr(layer, "quantizer"):
                stack.enter_context(_replaced(layer.__dict__, "quantizer"))
        yield


@contextlib.contextmanager
def _replaced(holder: Any, key: Any) -> Iterator[None]:
    quantizer = holder[key]
    if not isinstance(quantizer, _quantizers.FixedQuantizer):
        holder[key] = _Observer(quantizer)
    yield
    holder[key] = quantizer
