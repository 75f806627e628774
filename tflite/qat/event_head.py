"""The quantization-aware twin of the event head, over a sequence and one step at a time.

Both are made of the same layers. The sequence is what is trained; the steps (a cell for each direction of each
recurrent layer, and the classifiers) are what is converted.
"""

from __future__ import annotations

from typing import Any

import keras

from keras_mtl.core import ConversionError
from keras_mtl.models import LookAhead, WeakPooling
from keras_mtl.tflite.qat.fake_quant import FakeQuant
from keras_mtl.tflite.qat.gru import FakeQuantGRU, state_range, state_step
from keras_mtl.tflite.qat.layers import FakeQuantDense
from keras_mtl.tflite.qat.registry import activation_name, no_twin
from keras_mtl.tflite.qat.scheme import SCHEMES, Scheme

_layers = keras.layers
#: Name of the layer that quantizes what the encoder gives, in a decoder's twin.
INTERFACE = "embeddings_range"
_PROBABILITY = "strong_probability"
#: The two directions of a recurrent layer, in the order of their states among a step's features.
DIRECTIONS = ("forward", "backward")


def event_head_twin(head: keras.Model, scheme: str, interface: FakeQuant) -> keras.Model:
    """The twin of a network's "event_head".

    Args:
        head: functional model of GRU layers, bidirectional or going forwards, with the classifiers "strong" and
            "event_attention".
        scheme: "int8" or "int16x8", of the recurrent cells and of the classifiers.
        interface: the layer that quantizes the embeddings, which the encoder gives on its levels.

    Returns:
        A functional model "event_head": [batch, time, size] to {"strong" [batch, time, events], "weak"
        [batch, events]} probabilities. The recurrent layers have the names of the float ones with "_forward" and, where
        they are bidirectional, "_backward".

    Raises:
        ConversionError: a layer without a twin.
    """
    recurrent = _recurrent_layers(head)
    inputs = keras.Input(head.input_shape[1:], name="embeddings")
    x, step = interface(inputs)
    twins: list[Any] = []
    for layer in recurrent:
        ways = list(zip(DIRECTIONS, _one_way(layer), strict=False))
        made = [FakeQuantGRU(one.units, scheme, way == DIRECTIONS[1], name=f"{layer.name}_{way}") for way, one in ways]
        twins += zip(made, _one_way(layer), strict=True)
        states = [twin(x, input_step=step) for twin in made]
        x = _layers.Concatenate(name=f"{layer.name}_states")(states) if len(states) > 1 else states[0]
        step = state_step(SCHEMES[scheme])
    if ahead := look_ahead_of(head):
        x = LookAhead(ahead, name="look_ahead")(x)
    strong, attention = _classified(SCHEMES[scheme], _classifiers(head), x, step)
    weak = WeakPooling(name="weak")([strong, _layers.Softmax(name="attention")(attention)])
    model = keras.Model(inputs, {"strong": strong, "weak": weak}, name="event_head")
    for twin, layer in twins:
        twin.cell.load(layer.cell)
    for layer in _classifiers(head):
        model.get_layer(layer.name).set_weights(layer.get_weights())
    return model


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

    Attention leaves as logits. Its softmax is small for most classes, down to a few levels of 16 bits, and the mean
    over a clip that it weighs would be wrong by percents; whoever needs that mean computes the softmax of the logits.

    Returns:
        A functional model from "states" [batch, features] to {"strong" probabilities, "attention" logits}, each
        [batch, events].
    """
    scheme = SCHEMES["int16x8" if head.get_layer("strong_range").symmetric else "int8"]
    inputs = keras.Input((head.get_layer("strong").kernel.shape[0],), name="states")
    x, _ = state_range(scheme, "states_range")(inputs)
    found = {}
    for key, name in (("strong", "strong"), ("attention", "event_attention")):
        values, accumulated = head.get_layer(name)(x, input_step=state_step(scheme))
        found[key], _ = head.get_layer(f"{name}_range")(values, accumulator_step=accumulated)
    found["strong"] = head.get_layer(_PROBABILITY)(found["strong"])
    if not scheme.symmetric:
        found["strong"], _ = head.get_layer(f"{_PROBABILITY}_range")(found["strong"])
    return keras.Model(inputs, found, name="event_classifiers")


def recurrent_cells(head: keras.Model) -> list[tuple[str, str | None]]:
    """A twin's recurrent layers in order: names of the forward and, where there is one, of the backward cell."""
    names = [layer.name for layer in head.layers if isinstance(layer, FakeQuantGRU)]
    forward, backward = (f"_{direction}" for direction in DIRECTIONS)
    layers = dict.fromkeys(name.removesuffix(forward).removesuffix(backward) for name in names)
    return [(name + forward, name + backward if name + backward in names else None) for name in layers]


def look_ahead_of(head: keras.Model) -> int:
    """Embeddings that an event head, float or twin, reads beyond the one that its output is for."""
    return sum(layer.steps for layer in head.layers if isinstance(layer, LookAhead))


def _classified(scheme: Scheme, classifiers: list[Any], x: Any, step: Any) -> tuple[Any, Any]:
    """Probabilities of the events, and logits of their weights among each other, [..., events] each."""
    logits = []
    for layer in classifiers:
        values, accumulated = FakeQuantDense(layer.units, name=layer.name)(x, input_step=step)
        range_of = FakeQuant.for_scheme(scheme, name=f"{layer.name}_range", headroom=scheme.output_headroom)
        logits.append(range_of(values, accumulator_step=accumulated)[0])
    strong = _layers.Activation("sigmoid", name=_PROBABILITY)(logits[0])
    if not scheme.symmetric:
        strong, _ = FakeQuant(8, fixed=True, low=0.0, high=255 / 256, name=f"{_PROBABILITY}_range")(strong)
    return strong, logits[1]


def _recurrent_layers(head: keras.Model) -> list[Any]:
    """The GRU layers of a float event head in order, bidirectional or going forwards."""
    found: list[Any] = []
    for layer in head.layers:
        if isinstance(layer, _layers.Bidirectional | _layers.GRU):
            _require_plain(layer)
            found.append(layer)
        elif not isinstance(layer, _layers.InputLayer | _layers.Dropout | _layers.Dense | LookAhead | WeakPooling):
            raise no_twin(layer)
    # A device steps through all layers in both directions, or through all of them as embeddings come.
    if len({type(layer) for layer in found}) > 1:
        raise ConversionError(
            f"model {head.name} has recurrent layers that go forwards only beside bidirectional ones",
            hint="bidirectional is true for all of them, or for none",
        )
    if not found:
        raise ConversionError(f"model {head.name} has no recurrent layer", hint="build_event_head makes one that has")
    return found


def _require_plain(layer: Any) -> None:
    """Refuses what a cell does not compute: other activations, no reset after the product, states kept apart."""
    if isinstance(layer, _layers.Bidirectional) and layer.merge_mode != "concat":
        raise no_twin(layer)
    for one in _one_way(layer):
        plain = type(one) is _layers.GRU and one.reset_after and one.use_bias and one.return_sequences
        gates = (
            [keras.activations.serialize(act) for act in (one.activation, one.recurrent_activation)] if plain else []
        )
        # Bidirectional turns a direction round itself: its backward layer is a GRU that goes backwards.
        if gates != ["tanh", "sigmoid"] or one.stateful or (one is layer and one.go_backwards):
            raise no_twin(layer)


def _one_way(layer: Any) -> list[Any]:
    """The GRU layers of a recurrent layer, in the order of `DIRECTIONS`."""
    return [layer.forward_layer, layer.backward_layer] if isinstance(layer, _layers.Bidirectional) else [layer]


def _classifiers(head: keras.Model) -> list[Any]:
    layers = [head.get_layer(name) for name in ("strong", "event_attention")]
    for layer, activation in zip(layers, ("sigmoid", "softmax"), strict=True):
        if activation_name(layer.activation) != activation or not layer.use_bias:
            raise no_twin(layer)
    return layers
