"""Takes a quantization-aware network's decoders apart into the models that a device runs one by one, and wires them."""

from __future__ import annotations

from collections.abc import Mapping

import keras

from keras_mtl.core import ConversionError
from keras_mtl.tflite.artifact import Recurrent, Wiring
from keras_mtl.tflite.qat import INTERFACE, cell_step, classifier_step, embeddings_range, look_ahead_of, recurrent_cells


def wire(network: keras.Model, encoder: str, stride: int, clip_frames: Mapping[str, int]) -> Wiring:
    """How a network's decoders work together behind its encoder.

    Args:
        network: model of `build_qat` with the wanted decoders.
        encoder: the encoder's name among the members.
        stride: log-mel frames of one embedding.
        clip_frames: for each decoder that is wanted ("scenes", "events"), the log-mel frames that it reads at a time.

    Raises:
        ConversionError: a decoder reads no whole number of embeddings, or the network lacks it.
    """
    names = {layer.name for layer in network.layers}
    for task, head in (("scenes", "scene_head"), ("events", "event_head")):
        if task in clip_frames and head not in names:
            raise ConversionError(f"the network has no layer {head}, so it has no decoder of {task}")
        if clip_frames.get(task, 0) % stride:
            raise ConversionError(
                f"the decoder of {task} reads {clip_frames[task]} frames, no whole number of embeddings of {stride}"
            )
    rings = {task: frames // stride for task, frames in clip_frames.items()}
    scenes = {"scene_head": "scene_head", "scene_ring": rings["scenes"]} if "scenes" in rings else {}
    if "events" not in rings:
        return Wiring(encoder=encoder, **scenes)
    head = network.get_layer("event_head")
    layers = tuple(Recurrent(forward, backward) for forward, backward in recurrent_cells(head))
    given, taken = embeddings_range(network.get_layer("encoder")), head.get_layer(INTERFACE)
    return Wiring(
        encoder=encoder,
        recurrent=layers,
        classifiers="event_classifiers",
        shift=taken.bits - 1 - given.bits if taken.bits != given.bits else None,
        look_ahead=look_ahead_of(head),
        event_ring=0 if all(layer.backward is None for layer in layers) else rings["events"],
        **scenes,
    )


def build_decoders(network: keras.Model, wiring: Wiring) -> dict[str, keras.Model]:
    """The functional model of each member but the encoder, with a fixed input; its layers are the network's own.

    Args:
        network: model of `build_qat` with the events among its tasks.
        wiring: of `wire` for the same network.
    """
    members = {}
    if wiring.scene_head:
        head = network.get_layer("scene_head")
        inputs = keras.Input((wiring.scene_ring, head.input_shape[-1]), name="embeddings")
        members[wiring.scene_head] = keras.Model(inputs, head(inputs), name=wiring.scene_head)
    for number, layer in enumerate(wiring.recurrent):
        head = network.get_layer("event_head")
        interface = None if number else head.get_layer(INTERFACE)
        for name in layer.cells:
            members[name] = cell_step(head, name, interface)
    if wiring.classifiers:
        members[wiring.classifiers] = classifier_step(network.get_layer("event_head"))
    return members
