"""The quantization-aware twin of the event head, over a sequence and one step at a time.

Both are made of the same layers. The sequence is what is trained; the steps (a cell for each direction of each
recurrent layer, and the classifiers) are what is converted.
"""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from keras_mtl.errors import ConversionError
from keras_mtl.models.event_head import WeakPooling
from keras_mtl.tflite.fake_quant import FakeQuant
from keras_mtl.tflite.flat_graph import no_twin
from keras_mtl.tflite.qat_fold import activation_of
from keras_mtl.tflite.qat_gru import FakeQuantGRU, state_range, state_step
from keras_mtl.tflite.qat_layers import FakeQuantDense
from keras_mtl.tflite.scheme import SCHEMES, Scheme

_layers = keras.layers
#: Name of the layer that quantizes what the encoder gives, in a decoder's twin.
INTERFACE = "embeddings_range"
#: Levels of a probability of 16 bits; one of 8 bits is on them already.
_LEVELS = 2.0**15
#: Less than any weight but 0.
LEAST_WEIGHT = 1e-6
#: The two directions of a recurrent layer, in the order of their states among a step's features.
DIRECTIONS = ("forward", "backward")


def event_head_twin(head: keras.Model, scheme: str, interface: FakeQuant) -> keras.Model:
    """The twin of a network's "event_head".

    Args:
        head: functional model of bidirectional GRU layers with the classifiers "strong" and "event_attention".
        scheme: "int8" or "int16x8", of the recurrent cells and of the classifiers.
        interface: the layer that quantizes the embeddings, which the encoder gives on its levels.

    Returns:
        A functional model "event_head": [batch, time, size] to {"strong" [batch, time, events], "weak"
        [batch, events]} probabilities. The recurrent layers have the names of the float ones with "_forward" and
        "_backward".

    Raises:
        ConversionError: a layer without a twin.
    """
    recurrent = _recurrent_layers(head)
    inputs = keras.Input(head.input_shape[1:], name="embeddings")
    x, step = interface(inputs)
    twins = []
    for layer in recurrent:
        pair = [FakeQuantGRU(layer.forward_layer.units, scheme, name=f"{layer.name}_{DIRECTIONS[0]}")]
        pair.append(FakeQuantGRU(layer.forward_layer.units, scheme, True, name=f"{layer.name}_{DIRECTIONS[1]}"))
        twins += zip(pair, (layer.forward_layer, layer.backward_layer), strict=True)
        x = _layers.Concatenate(name=f"{layer.name}_states")([twin(x, input_step=step) for twin in pair])
        step = state_step(SCHEMES[scheme])
    strong, attention = _classified(SCHEMES[scheme], _classifiers(head), x, step)
    weak = QuantizedWeakPooling(name="weak")(strong, weights=attention)
    model = keras.Model(inputs, {"strong": strong, "weak": weak}, name="event_head")
    for twin, layer in twins:
        twin.cell.load(layer.cell)
    for layer in _classifiers(head):
        model.get_layer(layer.name).set_weights(layer.get_weights())
    return model


@keras.saving.register_keras_serializable(package="keras_mtl")
class QuantizedWeakPooling(keras.layers.Layer):
    """Clip probabilities as a device makes them, from the steps' integers: sum_t(p w) / sum_t(w), per class.

    Weights below half a level are 0 there. A class that no step gives a weight to is in no clip.
    """

    def call(self, inputs: Any, weights: Any) -> Any:
        """Probabilities and weights [batch, time, events], in -1..1, to [batch, events]."""
        weights += tf.stop_gradient(tf.round(weights * _LEVELS) / _LEVELS - weights)
        return tf.reduce_sum(inputs * weights, 1) / tf.maximum(tf.reduce_sum(weights, 1), LEAST_WEIGHT)

    def compute_output_shape(self, inputs_shape: Any, weights_shape: Any) -> Any:
        """Drops the time axis."""
        return (inputs_shape[0], inputs_shape[2])


def cell_step(head: keras.Model, name: str, interface: FakeQuant | None) -> keras.Model:
    """One step of a recurrent layer of a twin, as it is converted. Its layers are the twin's own.

    Args:
        head: model of `event_head_twin`.
        name: name of the recurrent layer with its direction, as "bigru_1_forward".
        interface: what quantizes the input, for the first layer; None for inputs that are states themselves.

    Returns:
        A functional model from "input" [batch, features] and "state" [batch, units] to the next state.
    """
    layer = head.get_layer(name)
    scheme = SCHEMES[layer.scheme]
    inputs = keras.Input((layer.cell.inputs_of[0].kernel.shape[0],), name="input")
    state = keras.Input((layer.units,), name="state")
    x, step = (interface or state_range(scheme, "input_range"))(inputs)
    before, _ = state_range(scheme, "before_range")(state)
    return keras.Model([inputs, state], layer.cell(x, state=before, input_step=step), name=name)


def classifier_step(head: keras.Model) -> keras.Model:
    """The classifiers of a twin for one step, as they are converted. Their layers are the twin's own.

    Returns:
        A functional model from "states" [batch, features] to {"strong", "attention"}, each [batch, events].
    """
    classifiers = [head.get_layer(name) for name in ("strong", "event_attention")]
    scheme = SCHEMES["int16x8" if head.get_layer("strong_range").symmetric else "int8"]
    inputs = keras.Input((classifiers[0].kernel.shape[0],), name="states")
    x, _ = state_range(scheme, "states_range")(inputs)
    ranges = [head.get_layer(f"{layer.name}_range") for layer in classifiers]
    outputs = []
    for layer, range_of, act in zip(classifiers, ranges, ("strong_probability", "attention_weight"), strict=True):
        values, accumulated = layer(x, input_step=state_step(scheme))
        values, _ = range_of(values, accumulator_step=accumulated)
        outputs.append(_squash(head, act, values))
    return keras.Model(inputs, dict(zip(("strong", "attention"), outputs, strict=True)), name="event_classifiers")


def recurrent_names(head: keras.Model) -> list[str]:
    """Names of a twin's recurrent layers in order, without their directions."""
    names = [layer.name for layer in head.layers if isinstance(layer, FakeQuantGRU)]
    ends = tuple(f"_{direction}" for direction in DIRECTIONS)
    return list(dict.fromkeys(name.removesuffix(ends[0]).removesuffix(ends[1]) for name in names))


def _classified(scheme: Scheme, classifiers: list[Any], x: Any, step: Any) -> tuple[Any, Any]:
    """Probabilities of the events and their weights among each other, [..., events] each."""
    outputs = []
    for layer, name in zip(classifiers, ("strong_probability", "attention_weight"), strict=True):
        values, accumulated = FakeQuantDense(layer.units, name=layer.name)(x, input_step=step)
        range_of = FakeQuant.for_scheme(scheme, name=f"{layer.name}_range", headroom=scheme.output_headroom)
        values, _ = range_of(values, accumulator_step=accumulated)
        squashed = _layers.Activation("sigmoid" if name.startswith("strong") else "softmax", name=name)(values)
        if not scheme.symmetric:
            squashed, _ = FakeQuant(8, fixed=True, low=0.0, high=255 / 256, name=f"{name}_range")(squashed)
        outputs.append(squashed)
    return outputs[0], outputs[1]


def _squash(head: keras.Model, name: str, values: Any) -> Any:
    squashed = head.get_layer(name)(values)
    if any(layer.name == f"{name}_range" for layer in head.layers):
        squashed, _ = head.get_layer(f"{name}_range")(squashed)
    return squashed


def _recurrent_layers(head: keras.Model) -> list[Any]:
    """The bidirectional GRU layers of a float event head, in order."""
    found = []
    for layer in head.layers:
        if isinstance(layer, _layers.Bidirectional):
            _require_plain(layer)
            found.append(layer)
        elif not isinstance(layer, _layers.InputLayer | _layers.Dropout | _layers.Dense | WeakPooling):
            raise no_twin(layer)
    if not found:
        raise ConversionError(f"model {head.name} has no recurrent layer", hint="build_event_head makes one that has")
    return found


def _require_plain(layer: Any) -> None:
    """Refuses what a cell does not compute: other activations, no reset after the product, states kept apart."""
    for one in (layer.forward_layer, layer.backward_layer):
        plain = type(one) is _layers.GRU and one.reset_after and one.use_bias and one.return_sequences
        gates = (
            [keras.activations.serialize(act) for act in (one.activation, one.recurrent_activation)] if plain else []
        )
        if gates != ["tanh", "sigmoid"] or layer.merge_mode != "concat" or one.stateful:
            raise no_twin(layer)


def _classifiers(head: keras.Model) -> list[Any]:
    layers = [head.get_layer(name) for name in ("strong", "event_attention")]
    for layer, activation in zip(layers, ("sigmoid", "softmax"), strict=True):
        if activation_of(layer) != activation or not layer.use_bias:
            raise no_twin(layer)
    return layers
