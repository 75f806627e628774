"""The quantization-aware twin of the event head, over a sequence and one step at a time.

Both are made of the same layers. The sequence is what is trained, and built by kinds of its own (`EventCall`). The
steps (a cell for each direction of each recurrent layer, and the classifiers) are what is converted.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar

import keras

from keras_mtl.core import ConversionError
from keras_mtl.models import LookAhead, WeakPooling
from keras_mtl.tflite.qat.fake_quant import FakeQuant
from keras_mtl.tflite.qat.graph import graph_of
from keras_mtl.tflite.qat.gru import FakeQuantGRU, state_range, state_step
from keras_mtl.tflite.qat.layers import FakeQuantDense
from keras_mtl.tflite.qat.registry import TwinBuilder, TwinCall, activation_name, no_twin
from keras_mtl.tflite.qat.scheme import SCHEMES
from keras_mtl.tflite.qat.twins import Signal, TracedCall

_layers = keras.layers
#: Name of the layer that quantizes what the encoder gives, in a decoder's twin.
INTERFACE = "embeddings_range"
_PROBABILITY = "strong_probability"
#: The two directions of a recurrent layer, in the order of their states among a step's features.
DIRECTIONS = ("forward", "backward")
#: The dense layers that steps end with, and what each makes of its logits.
_CLASSIFIERS = {"strong": "sigmoid", "event_attention": "softmax"}


class EventCall(TracedCall):
    """One call of a layer of an event head."""


@dataclass
class EventBuilder(TwinBuilder):
    """Builds the twin of an event head."""

    calls: ClassVar[type[TwinCall]] = EventCall


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
    _require_one_way(head)
    inputs, graph, kind = keras.Input(head.input_shape[1:], name="embeddings"), graph_of(head), SCHEMES[scheme]
    builder = EventBuilder(graph, lambda _: kind, {graph.inputs[0]: Signal(*interface(inputs))})
    outputs = [signal.values for signal in builder.build()]
    return keras.Model(inputs, keras.tree.pack_sequence_as(head.output, outputs), name="event_head")


@EventCall.register(_layers.GRU, _layers.Bidirectional)
def recurrent(call: EventCall) -> Signal:
    """A GRU, or one for each direction."""
    layer, source, states = call.layer, call.input, list[Any]()
    _require_plain(layer)
    for way, one in zip(DIRECTIONS, _one_way(layer), strict=False):
        twin = FakeQuantGRU(one.units, call.scheme.name, way == DIRECTIONS[1], name=f"{layer.name}_{way}")
        states.append(twin(source.values, input_step=source.step))
        twin.cell.load(one.cell)
    both = _layers.Concatenate(name=f"{layer.name}_states")(states) if len(states) > 1 else states[0]
    return Signal(both, state_step(call.scheme))


@EventCall.register(LookAhead)
def look_ahead(call: EventCall) -> Signal:
    """The states of a later step: a driver waits for them."""
    later = LookAhead(call.layer.steps, name=call.layer.name)
    return replace(call.input, values=later(call.input.values))


@EventCall.register(_layers.Dense)
def classifier(call: EventCall) -> Signal:
    """Probabilities of the events, or logits of their weights among each other."""
    layer, source, activation = call.layer, call.input, activation_name(call.layer.activation)
    if _CLASSIFIERS.get(layer.name) != activation or not layer.use_bias:
        raise no_twin(layer)
    twin = FakeQuantDense(layer.units, name=layer.name)
    values, step = twin(source.values, input_step=source.step)
    twin.set_weights(layer.get_weights())
    logits = call.ranged(layer.name, values, step, headroom=call.scheme.output_headroom)
    if activation == "softmax":
        return logits
    probability = f"{layer.name}_probability"
    values = _layers.Activation(activation, name=probability)(logits.values)
    return call.fixed(0.0, 1.0, f"{probability}_range", values)


@EventCall.register(WeakPooling)
def weak_pooling(call: EventCall) -> Signal:
    """Probabilities of a clip: of real values, since no file has them."""
    strong, attention = (signal.values for signal in call.inputs)
    weights = _layers.Softmax(name="attention")(attention)
    return Signal(WeakPooling(name=call.layer.name)([strong, weights]), None)


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


def _require_one_way(head: keras.Model) -> None:
    """Refuses an event head without recurrent layers, or with some of both ways.

    A device steps through all layers in both directions, or through all of them as embeddings come.
    """
    found = {type(layer) for layer in head.layers if isinstance(layer, _layers.Bidirectional | _layers.GRU)}
    if len(found) > 1:
        raise ConversionError(
            f"model {head.name} has recurrent layers that go forwards only beside bidirectional ones",
            hint="bidirectional is true for all of them, or for none",
        )
    if not found:
        raise ConversionError(f"model {head.name} has no recurrent layer", hint="build_event_head makes one that has")


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
