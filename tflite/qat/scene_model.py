"""Builds the quantization-aware twin of a network: its encoder, and one decoder or both.

The float network's layers are walked in the order of computation; what is one operator in the file (convolution, batch
normalisation and ReLU; sum and ReLU) becomes one layer and one range, by its kind (`twins.py`).

The twin of the scene part alone is one graph on one second of audio. That of a network with an event decoder has the
float network's form, a functional model with the layers "encoder", "scene_head" and "event_head", each a model of its
own, so that every training algorithm takes it as it takes the float one. Between them stand the embeddings on their
levels. These levels are an interface: calibrated once and then kept, so that a decoder can be trained, converted and
replaced without the other.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import keras

from keras_mtl.core import ConversionError
from keras_mtl.tflite.qat.event_head import INTERFACE, event_head_twin
from keras_mtl.tflite.qat.fake_quant import FakeQuant
from keras_mtl.tflite.qat.graph import flatten
from keras_mtl.tflite.qat.scheme import SCHEMES, Scheme, scheme_of
from keras_mtl.tflite.qat.twins import EMBEDDINGS, Signal, TracedBuilder

_layers = keras.layers
#: The tasks that a twin can have a decoder for.
TASKS = ("scenes", "events")
#: States of 8 bits lose every move of less than half a level, so cells have 16 by default; weights have 8 in any case.
CELLS = "int16x8"


def build_qat(
    network: keras.Model,
    scheme: str,
    tasks: Sequence[str] = ("scenes",),
    cells: str | None = None,
    *,
    frames: int = 100,
    learning: str = "gradient",
) -> keras.Model:
    """The quantization-aware twin of a network. `calibrate` it before use.

    Args:
        network: a float network with the functional models "encoder" and "scene_head" or "event_head". It is read, not
            changed.
        scheme: "int8" or "int16x8", of the encoder and the scene head.
        tasks: "scenes", "events" or both: which decoders the twin has.
        cells: the scheme of the event decoder, "int16x8" by default.
        frames: of the scene part alone, log-mel frames of one inference; 100 is one second.
        learning: how ranges outside of the cells change in training: "gradient" or "moving_average".

    Returns:
        Of the scenes alone a functional model "qat_scenes": normalised log-mel [batch, frames, mel_bands, 1] to logits
        [batch, scenes], whose layer "embeddings" gives what the encoder gives, quantized. Else a functional model
        "qat_network" from the same input to a dict as the float network's: "scenes" logits, "strong" and "weak"
        probabilities.

    Raises:
        ConversionError: an unknown scheme or task, cells without the events, a scheme of 16 bits with cells of 8, or a
            layer without a twin.
    """
    kind, encoder = scheme_of(scheme, learning), network.get_layer("encoder")
    _require(kind, tasks, cells)
    if "events" not in tasks:
        inputs = keras.Input((frames, *encoder.input_shape[2:]), name="log_mel")
        models = [encoder, network.get_layer("scene_head")]
        return _graph_twin("qat_scenes", models, kind, inputs, FakeQuant.for_scheme(kind, name="log_mel_range"))
    cells = cells or CELLS
    twin = _encoder_twin(encoder, kind)
    inputs = keras.Input(twin.input_shape[1:], name="log_mel")
    embeddings = twin(inputs)
    outputs = {}
    if "scenes" in tasks:
        outputs["scenes"] = _scene_head_twin(network.get_layer("scene_head"), kind)(embeddings)
    outputs |= event_head_twin(network.get_layer("event_head"), cells, interface(scheme, cells))(embeddings)
    return keras.Model(inputs, outputs, name="qat_network")


def is_one_graph(twin: keras.Model) -> bool:
    """Whether a twin is that of a scene part alone, whose encoder is no model of its own."""
    return all(layer.name != "encoder" for layer in twin.layers)


def interface(scheme: str, cells: str | None = None) -> FakeQuant:
    """The layer by which a decoder takes embeddings: no range of its own, it is given the encoder's.

    Args:
        scheme: of the encoder.
        cells: of the decoder; None for the encoder's own.
    """
    kind = SCHEMES[cells or scheme]
    return FakeQuant(kind.bits, kind.symmetric, fixed=True, name=INTERFACE)


def embeddings_range(encoder: keras.Model) -> FakeQuant:
    """The layer of an encoder's twin whose levels the embeddings have."""
    return [layer for layer in encoder.layers if isinstance(layer, FakeQuant)][-1]


def join_interface(model: keras.Model) -> None:
    """Gives every decoder of a twin the levels that its encoder gives embeddings on, in place.

    16-bit cells take 8-bit embeddings without a loss: each step of theirs is 128 of the cells', so that a driver makes
    one from the other by (q - zero_point) << 7.
    """
    given = embeddings_range(model.get_layer("encoder"))
    scale, _ = given.scale_and_zero_point()
    for name in ("scene_head", "event_head"):
        if not any(layer.name == name for layer in model.layers):
            continue
        taken = model.get_layer(name).get_layer(INTERFACE)
        if taken.bits == given.bits:
            taken.low.assign(given.low)
            taken.high.assign(given.high)
        else:
            taken.set_range(0.0, (2 ** (taken.bits - 1) - 1) * scale / 2 ** (taken.bits - 1 - given.bits))


def _graph_twin(name: str, models: list[Any], scheme: Scheme, inputs: Any, first: FakeQuant) -> keras.Model:
    """The twin of models that follow each other as one graph, whose input goes through a range first."""
    graph = flatten(models)
    builder = TracedBuilder(graph, lambda _: scheme, {graph.inputs[0]: Signal(*first(inputs))})
    return keras.Model(inputs, builder.build()[-1].values, name=name)


def _encoder_twin(encoder: keras.Model, scheme: Scheme) -> keras.Model:
    # Embeddings are no logits: what reads them needs their steps as fine as those of any map.
    kind = replace(scheme, output_headroom=scheme.headroom)
    inputs = keras.Input(encoder.input_shape[1:], name="log_mel")
    model = _graph_twin("encoder", [encoder], kind, inputs, FakeQuant.for_scheme(kind, name="log_mel_range"))
    embeddings_range(model).trainable = False
    return model


def _scene_head_twin(head: keras.Model, scheme: Scheme) -> keras.Model:
    inputs = keras.Input(head.input_shape[1:], name="embeddings")
    return _graph_twin("scene_head", [head], scheme, inputs, interface(scheme.name))


def _require(scheme: Scheme, tasks: Sequence[str], cells: str | None) -> None:
    if not tasks or set(tasks) - set(TASKS):
        raise ConversionError(f"unknown tasks {', '.join(tasks) or '(none)'}", hint=f"of {', '.join(TASKS)}")
    if cells is None:
        return
    if "events" not in tasks:
        raise ConversionError(f"the scene part has no cells that could be {cells}", hint="name the events, too")
    if scheme.bits > scheme_of(cells).bits:
        raise ConversionError(
            f"cells of {cells} can't take embeddings of {scheme.name}",
            hint=f"cells of {scheme.name}, or an encoder of {cells}",
        )


def as_network(twin: keras.Model) -> keras.Model:
    """A quantized run's network with the layer "encoder" and those of its decoders, as a stream runs them.

    Args:
        twin: model of `build_qat`. That of a scene part is taken apart, its layers and levels are used, not copied; any
            other is given back as it is.

    Returns:
        A functional model from "log_mel" [batch, frames, mel_bands, 1], of a scene part to {"scenes": logits}. Its
        encoder takes any number of frames.

    Raises:
        ConversionError: a scene head that reads more of the encoder than its embeddings.
    """
    if not is_one_graph(twin) or all(layer.name != EMBEDDINGS for layer in twin.layers):
        return twin
    inputs, embeddings = twin.inputs[0], twin.get_layer(EMBEDDINGS).output
    both = keras.Model(inputs, embeddings)
    grid = embeddings_range(both)
    encoder = _encoder_of_any_length(both)
    head = _head_apart(twin, embeddings, grid)
    log_mel = keras.Input(inputs.shape[1:], name="log_mel")
    network = keras.Model(log_mel, {"scenes": head(encoder(log_mel))}, name=twin.name)
    join_interface(network)
    return network


def _encoder_of_any_length(encoder: keras.Model) -> keras.Model:
    """The same for any number of frames: the graph was built for a second."""
    log_mel = keras.Input((None, *encoder.input_shape[2:]), name="log_mel")
    return keras.Model(log_mel, encoder._run_through_graph(log_mel, _of_any_length), name="encoder")


def _of_any_length(layer: Any) -> Any:
    if isinstance(layer, _layers.Reshape) and len(layer.target_shape) == 2:
        return _layers.Reshape((-1, layer.target_shape[-1]), name=layer.name)
    return layer


def _head_apart(twin: keras.Model, embeddings: Any, grid: FakeQuant) -> keras.Model:
    """What comes after the embeddings; a layer of its own has their range."""
    _, step = grid.output
    try:
        graph = keras.Model([embeddings, step], twin.outputs[0])
    except ValueError:
        raise ConversionError(
            f"the scene head of {twin.name} reads more of the encoder than its embeddings, so they can't run apart"
        ) from None
    inputs = keras.Input(embeddings.shape[1:], name="embeddings")
    taken = FakeQuant(grid.bits, grid.symmetric, fixed=True, name=INTERFACE)(inputs)
    return keras.Model(inputs, graph._run_through_graph(list(taken), lambda layer: layer), name="scene_head")
