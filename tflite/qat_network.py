"""Builds the quantization-aware twin of a whole network: its encoder, and one decoder or both.

The twin has the float network's form, a functional model with the layers "encoder", "scene_head" and "event_head",
each a model of its own, so that every training algorithm takes it as it takes the float one. Between them stand the
embeddings on their levels. These levels are an interface: calibrated once and then kept, so that a decoder can be
trained, converted and replaced without the other.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import keras

from keras_mtl.errors import ConversionError
from keras_mtl.tflite.fake_quant import FakeQuant
from keras_mtl.tflite.flat_graph import flatten
from keras_mtl.tflite.qat_event_head import INTERFACE, event_head_twin
from keras_mtl.tflite.qat_model import twin_graph
from keras_mtl.tflite.qat_signals import Signal
from keras_mtl.tflite.qat_twins import Twins
from keras_mtl.tflite.scheme import SCHEMES, Scheme, scheme_of

#: The tasks that a twin can have a decoder for.
TASKS = ("scenes", "events")


def build_qat_network(
    network: keras.Model,
    scheme: str,
    tasks: Sequence[str] = TASKS,
    cells: str = "int16x8",
    learning: str = "gradient",
) -> keras.Model:
    """The quantization-aware twin of a network. `calibrate_network` it before use.

    Args:
        network: a float network with the functional models "encoder" and "scene_head" or "event_head". It is read, not
            changed.
        scheme: "int8" or "int16x8", of the encoder and the scene head.
        tasks: "scenes", "events" or both: which decoders the twin has.
        cells: the scheme of the recurrent cells and of the classifiers behind them. States of 8 bits lose every move
            of less than half a level, so 16 are the default with either scheme; the weights have 8 in both.
        learning: how ranges outside of the cells change in training: "gradient" or "moving_average".

    Returns:
        A functional model "qat_network": "log_mel" [batch, frames, mel_bands, 1] to a dict as the float network's:
        "scenes" logits, "strong" and "weak" probabilities.

    Raises:
        ConversionError: an unknown scheme or task, a scheme of 16 bits with cells of 8, or a layer without a twin.
    """
    _require(scheme, tasks, cells)
    kind = scheme_of(scheme, learning)
    encoder = _encoder_twin(network.get_layer("encoder"), kind)
    inputs = keras.Input(encoder.input_shape[1:], name="log_mel")
    embeddings = encoder(inputs)
    outputs = {}
    if "scenes" in tasks:
        outputs["scenes"] = _scene_head_twin(network.get_layer("scene_head"), kind)(embeddings)
    if "events" in tasks:
        outputs |= event_head_twin(network.get_layer("event_head"), cells, interface(scheme, cells))(embeddings)
    return keras.Model(inputs, outputs, name="qat_network")


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


def _encoder_twin(encoder: keras.Model, scheme: Scheme) -> keras.Model:
    # Embeddings are no logits: what reads them needs their steps as fine as those of any map.
    kind = replace(scheme, output_headroom=scheme.headroom)
    inputs = keras.Input(encoder.input_shape[1:], name="log_mel")
    values, step = FakeQuant.for_scheme(kind, name="log_mel_range")(inputs)
    twins = Twins(flatten([encoder]), kind, Signal(values, step))
    output = twin_graph(twins)
    model = keras.Model(inputs, output.values, name="encoder")
    embeddings_range(model).trainable = False
    return model


def _scene_head_twin(head: keras.Model, scheme: Scheme) -> keras.Model:
    inputs = keras.Input(head.input_shape[1:], name="embeddings")
    values, step = interface(scheme.name)(inputs)
    twins = Twins(flatten([head]), scheme, Signal(values, step))
    return keras.Model(inputs, twin_graph(twins).values, name="scene_head")


def _require(scheme: str, tasks: Sequence[str], cells: str) -> None:
    for name in (scheme, cells):
        if name not in SCHEMES:
            raise ConversionError(f"unknown scheme {name!r}", hint=f"one of {', '.join(SCHEMES)}")
    if not tasks or set(tasks) - set(TASKS):
        raise ConversionError(f"unknown tasks {', '.join(tasks) or '(none)'}", hint=f"of {', '.join(TASKS)}")
    if SCHEMES[scheme].bits > SCHEMES[cells].bits:
        raise ConversionError(
            f"cells of {cells} can't take embeddings of {scheme}", hint=f"cells of {scheme}, or an encoder of {cells}"
        )
