"""Builds the twin of a described scene part in the old Keras, has tfmot quantize it, and calibrates it.

For worker processes only: tfmot turns the `tf.keras` of the whole process into `tf_keras`.
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

_quantization: Any = tfmot.quantization.keras
_PREFIX = "quant_"
_quantizers: Any = _quantization.quantizers
_BATCH = 64
_LEAST = 1e-3  # a dead layer still needs a range


class WeightedMean(tf_keras.layers.Layer):
    """Mean of embeddings by given weights, as a matrix product: sum_t a_t e_t."""

    def call(self, inputs: Any) -> Any:
        """[weights [batch, 1, time], embeddings [batch, time, size]] to [batch, 1, size]."""
        return tf.matmul(*inputs)

    def compute_output_shape(self, input_shape: Any) -> Any:
        """[batch, 1, size]."""
        weights, embeddings = input_shape
        return (weights[0], 1, embeddings[2])


class OutputRange(tfmot.quantization.keras.QuantizeConfig):
    """Quantizes what a layer gives, and nothing inside of it.

    Args:
        low, high: ends of a fixed range; None for a moving average of what was seen, as tfmot's own layers have.
    """

    def __init__(self, low: float | None = None, high: float | None = None) -> None:
        self.low, self.high = low, high

    def get_weights_and_quantizers(self, layer: Any) -> list[Any]:
        """None."""
        return []

    def get_activations_and_quantizers(self, layer: Any) -> list[Any]:
        """None."""
        return []

    def set_quantize_weights(self, layer: Any, quantize_weights: Any) -> None:
        """Nothing to set."""

    def set_quantize_activations(self, layer: Any, quantize_activations: Any) -> None:
        """Nothing to set."""

    def get_output_quantizers(self, layer: Any) -> list[Any]:
        """The one of the range."""
        kinds = _quantization.quantizers
        if self.low is None:
            return [kinds.MovingAverageQuantizer(8, per_axis=False, symmetric=False, narrow_range=False)]
        return [kinds.FixedQuantizer(8, self.low, self.high, narrow_range=False)]

    def get_config(self) -> dict[str, Any]:
        """All constructor arguments."""
        return {"low": self.low, "high": self.high}


def build_float(document: Mapping[str, Any], weights: Mapping[str, np.ndarray]) -> tf_keras.Model:
    """The float twin: normalised log-mel [batch, frames, mel_bands, 1] to {"scenes", "embeddings"}.

    Args:
        document: as in `description.Description`.
        weights: float ones by the described names.
    """
    values = _values(document, lambda layer, range_of: layer)
    outputs = {"scenes": values[document["logits"]], "embeddings": values[document["embeddings"]]}
    model = tf_keras.Model(values[""], outputs)
    set_weights(model, weights)
    return model


def build_quantized(document: Mapping[str, Any], weights: Mapping[str, np.ndarray] | None = None) -> tf_keras.Model:
    """The twin as tfmot quantizes it: normalised log-mel to {"scenes", "embeddings"}.

    Args:
        document: as in `description.Description`.
        weights: float ones by the described names; None leaves it with random ones.

    Raises:
        ConversionError: tfmot refused.
    """
    values = _values(document, _annotated)
    try:
        with _quantization.quantize_scope({"WeightedMean": WeightedMean, "OutputRange": OutputRange}):
            annotated = _quantization.quantize_annotate_model(tf_keras.Model(values[""], values[document["logits"]]))
            quantized = _quantization.quantize_apply(annotated, quantized_layer_name_prefix=_PREFIX)
    except (RuntimeError, ValueError) as error:
        raise ConversionError(f"tfmot refused: {str(error).splitlines()[0]}", hint="--engine native") from None
    outputs = {
        "scenes": quantized.output,
        "embeddings": quantized.get_layer(_PREFIX + document["embeddings"]).output,
    }
    model = tf_keras.Model(quantized.input, outputs)
    if weights is not None:
        set_weights(model, {_PREFIX + name: values for name, values in weights.items()}, whole=False)
    return model


def get_weights(model: tf_keras.Model) -> dict[str, np.ndarray]:
    """All weights and ranges by "layer/weight"."""
    return {name: weight.numpy() for name, weight in _named(model).items()}


def set_weights(model: tf_keras.Model, weights: Mapping[str, np.ndarray], whole: bool = True) -> None:
    """Sets weights and ranges by name.

    Args:
        model: of `build_float` or `build_quantized`.
        weights: by "layer/weight".
        whole: whether all of the model's must be given.

    Raises:
        ConversionError: names or shapes that are not the model's.
    """
    named = _named(model)
    if unlike := set(weights) - set(named) or (set(named) - set(weights) if whole else set()):
        raise ConversionError(f"the weights for tfmot's twin are not its own: {', '.join(sorted(unlike)[:3])}")
    for name, values in weights.items():
        if tuple(named[name].shape) != np.shape(values):
            raise ConversionError(f"the weight {name} of tfmot's twin has shape {tuple(named[name].shape)}")
        named[name].assign(values)


def _named(model: tf_keras.Model) -> dict[str, Any]:
    named = {}
    for layer in model.layers:
        # tfmot counts its layer for the input through the process.
        owner = "input" if hasattr(layer, "quantizer") else layer.name
        for weight in layer.weights:
            leaf = weight.name.split(":")[0].split("/")[-1]
            if owner == "input":
                leaf = leaf.removeprefix(f"{layer.name}_")
            if leaf != "optimizer_step":
                named[f"{owner}/{leaf}"] = weight
    return named


def _values(document: Mapping[str, Any], dress: Any) -> dict[str, Any]:
    """Builds the layers; gives what each of them gives, by its name."""
    inputs = tf_keras.Input(tuple(document["input"]), name="log_mel")
    values = {"": inputs}
    for entry in document["layers"]:
        reads = [values[name] for name in entry["reads"]]
        layer = dress(_layer(entry, reads[0].shape), entry["range"])
        values[entry["name"]] = layer(reads if len(reads) > 1 else reads[0])
    return values


def _layer(entry: Mapping[str, Any], shape: Any) -> Any:
    kind, options = entry["kind"], {**entry["config"], "name": entry["name"]}
    if kind == "WeightedMean":
        return WeightedMean(**options)
    if kind == "BatchNormalization":
        options["trainable"] = False  # the moving statistics stay, and the convolution before it learns
    layer = getattr(tf_keras.layers, kind)(**options)
    if kind == "Reshape":
        # With a size left open, the converter writes the operator twice.
        layer = tf_keras.layers.Reshape(layer.compute_output_shape(shape)[1:], name=entry["name"])
    return layer


def _annotated(layer: Any, range_of: Any) -> Any:
    if range_of is None:
        return layer
    config = OutputRange() if range_of == "moving" else OutputRange(*range_of)
    return _quantization.quantize_annotate_layer(layer, config)


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

    tfmot's moving averages start at +-6 and take in a thousandth of each batch, so that they are far from the
    network's ranges after a short training. Here each starts where its average would come to rest: at the mean of what
    batches reach.

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
