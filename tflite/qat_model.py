"""Builds the quantization-aware twin of the scene part: encoder and scene head on one second of audio.

The twin is a functional Keras model. Batch normalisation is folded into the convolutions from its moving statistics,
once, at the start; weights and biases then fine-tune as they will stand in the file:

    w' = w g / sqrt(v + e);   b' = (b - m) g / sqrt(v + e) + beta
"""

from __future__ import annotations

import math
from typing import Any

import keras
import numpy as np

from keras_mtl.errors import ConversionError
from keras_mtl.tflite.fake_quant import FakeQuant
from keras_mtl.tflite.qat_layers import FakeQuantConv2D, FakeQuantDense, WeightedMean
from keras_mtl.tflite.scheme import SCHEMES, Scheme


def build_qat(network: keras.Model, scheme: str, frames: int = 100) -> keras.Model:
    """The quantization-aware twin of a network's scene part. `calibrate` it before use.

    Args:
        network: a float network with the layers "encoder" (convolutions, batch normalisation, ReLU, max-pools,
            "embeddings") and "scene_head". It is read, not changed.
        scheme: "int8" or "int16x8".
        frames: log-mel frames of one inference; 100 is one second.

    Returns:
        A functional model "qat_scenes": normalised log-mel [batch, frames, mel_bands, 1] to logits [batch, scenes].
        Layer "embeddings" gives the quantized embeddings [batch, time, size].

    Raises:
        ConversionError: an unknown scheme, or a layer that has no quantization-aware twin.
    """
    if scheme not in SCHEMES:
        raise ConversionError(f"unknown scheme {scheme!r}", hint=f"one of {', '.join(SCHEMES)}")
    kind = SCHEMES[scheme]
    encoder, head = network.get_layer("encoder"), network.get_layer("scene_head")
    inputs = keras.Input((frames, *encoder.input_shape[2:]), name="log_mel")
    signal = FakeQuant.for_scheme(kind, name="log_mel_range")(inputs)
    return keras.Model(inputs, _scene_head(head, kind, _encoder(encoder, kind, signal)), name="qat_scenes")


#: Activations and the step of their levels, as `FakeQuant` gives them.
_Signal = tuple[Any, Any]


def _encoder(encoder: keras.Model, scheme: Scheme, signal: _Signal) -> _Signal:
    layers = [layer for layer in encoder.layers if not isinstance(layer, keras.layers.InputLayer)]
    while layers:
        layer = layers.pop(0)
        if isinstance(layer, keras.layers.Conv2D):
            normalisation = layers.pop(0) if layers and _is(layers[0], keras.layers.BatchNormalization) else None
            rectified = bool(layers) and _is(layers[0], keras.layers.ReLU)
            if rectified:
                layers.pop(0)
            x, step = _convolution(layer, normalisation, rectified, signal)
            range_of = FakeQuant.for_scheme(scheme, positive=rectified, name=f"{layer.name}_range")
            signal = range_of(x, accumulator_step=step)
        elif isinstance(layer, keras.layers.MaxPooling2D | keras.layers.Reshape):
            # They move values and compute none: the range of their input is theirs.
            signal = (type(layer).from_config(layer.get_config())(signal[0]), signal[1])
        else:
            raise ConversionError(f"layer {layer.name} ({type(layer).__name__}) has no quantization-aware twin")
    return signal


def _convolution(
    layer: keras.layers.Conv2D,
    normalisation: keras.layers.BatchNormalization | None,
    rectified: bool,
    signal: _Signal,
) -> _Signal:
    kernel, bias = (np.asarray(weight) for weight in layer.get_weights())
    if normalisation is not None:
        deviation = np.sqrt(np.asarray(normalisation.moving_variance) + normalisation.epsilon)
        gain = np.asarray(normalisation.gamma) / deviation
        kernel = kernel * gain
        bias = (bias - np.asarray(normalisation.moving_mean)) * gain + np.asarray(normalisation.beta)
    twin = FakeQuantConv2D(
        layer.filters,
        layer.kernel_size,
        strides=layer.strides,
        padding=layer.padding,
        dilation_rate=layer.dilation_rate,
        activation="relu" if rectified else None,
        name=layer.name,
    )
    accumulated = twin(signal[0], input_step=signal[1])
    twin.set_weights([kernel, bias])
    return accumulated


def _scene_head(head: keras.Model, scheme: Scheme, signal: _Signal) -> Any:
    embeddings, embedding_step = signal
    _, time, size = embeddings.shape
    # Where tanh is within half a step of 1, a range that reaches further only makes its steps coarser.
    saturated = math.atanh(1.0 - 2.0**-scheme.bits)
    hidden, _ = _dense(head.get_layer("attention_hidden"), scheme, signal, most=saturated)
    hidden = keras.layers.Activation("tanh", name="attention_tanh")(hidden)
    signal = _fixed(scheme, -1.0, 1.0, "attention_tanh_range", hidden)
    score, _ = _dense(head.get_layer("attention_score"), scheme, signal)
    score = keras.layers.Reshape((1, time), name="attention_row")(score)
    weights = keras.layers.Softmax(name="attention")(score)
    weights, weight_step = _fixed(scheme, 0.0, 1.0, "attention_range", weights)
    mean = WeightedMean(name="weighted_mean")
    pooled, step = mean(embeddings, weights=weights, input_step=embedding_step, weight_step=weight_step)
    pooled, step = FakeQuant.for_scheme(scheme, name="weighted_mean_range")(pooled, accumulator_step=step)
    pooled = keras.layers.Reshape((size,), name="pooled")(pooled)
    return _dense(head.get_layer("scene_logits"), scheme, (pooled, step), headroom=scheme.output_headroom)[0]


def _dense(layer: keras.layers.Dense, scheme: Scheme, signal: _Signal, **options: Any) -> _Signal:
    twin = FakeQuantDense(layer.units, name=layer.name)
    x, step = twin(signal[0], input_step=signal[1])
    twin.set_weights(layer.get_weights())
    return FakeQuant.for_scheme(scheme, name=f"{layer.name}_range", **options)(x, accumulator_step=step)


def _fixed(scheme: Scheme, low: float, high: float, name: str, x: Any) -> _Signal:
    """The range low..high that the format fixes, less the step that an integer type lacks at its end."""
    if scheme.symmetric:
        # The format's own rounding is too fine to need imitation, and a fake quant here would add operators.
        return x, 2.0 ** -(scheme.bits - 1)
    step = (high - low) / 2**scheme.bits
    return FakeQuant(scheme.bits, fixed=True, low=low, high=high - step, name=name)(x)


def _is(layer: Any, kind: type) -> bool:
    return isinstance(layer, kind)
