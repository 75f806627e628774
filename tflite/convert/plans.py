"""What a conversion makes of a network: the model of each member, their wiring, and golden data.

| plan | members | golden data |
|---|---|---|
| `part` | the scene or the event part for a whole clip | clips |
| `encoder` | one step of the encoder | consecutive steps from a start |
| `stream` | one step of the encoder and of each decoder's layers | one recording from a start |
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_mtl.core import ConversionError
from keras_mtl.models import build_event_part, build_scene_part, frames_per_embedding
from keras_mtl.tflite.artifact import Port, Recurrent, Stream, Wiring
from keras_mtl.tflite.convert.step import OUTPUT, build_step
from keras_mtl.tflite.qat import (
    EMBEDDINGS,
    INTERFACE,
    as_network,
    cell_step,
    classifier_step,
    embeddings_range,
    look_ahead_of,
    recurrent_cells,
)

_BATCH = 50
_PARTS = {"scenes": build_scene_part, "events": build_event_part}
_OUTPUTS = {"scenes": ["scene_logits"], "events": ["strong", "weak"]}


@dataclass(frozen=True)
class Plan:
    """What is to be converted.

    Attributes:
        models: the functional model of each member, by its name.
        golden: of the encoder's input port, to the reference inputs and outputs by name.
        encoder: name of the member that takes log-mel.
        scene_head: name of the scene decoder; empty without.
        named: names of the outputs of members that give one and do not name it themselves.
        facts: `wiring`, `stream` or, of events as one file, `frames_per_embedding`, as plain values.
    """

    models: dict[str, keras.Model]
    golden: Callable[[Port], dict[str, np.ndarray]]
    encoder: str = "network"
    scene_head: str = ""
    named: dict[str, list[str]] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)

    def outputs(self, name: str) -> list[str]:
        """Names of a member's outputs, in the order of the file."""
        output = self.models[name].output
        return self.named[name] if name in self.named else list(output) if isinstance(output, dict) else ["next_state"]


def plan_part(network: keras.Model, clips: np.ndarray, request: dict[str, Any]) -> Plan:
    """The scene or the event part (`part`) as one file; `clips` [n, frames, mel_bands]."""
    model = network
    # A whole quantized network has the event head's loops in it, which the converter of integers does not take.
    if request["format"].startswith("float") or "encoder" in {layer.name for layer in network.layers}:
        model = _PARTS[request["part"]](network, clips.shape[1])

    def golden(port: Port) -> dict[str, np.ndarray]:
        inputs = port.quantize(clips[..., None])
        real = port.dequantize(inputs)
        found = [model(real[i : i + _BATCH], training=False) for i in range(0, len(real), _BATCH)]
        named = [each if isinstance(each, dict) else {_OUTPUTS[request["part"]][0]: each} for each in found]
        outputs = {name: np.concatenate([np.asarray(each[name]) for each in named]) for name in named[0]}
        return {"log_mel": inputs, **outputs}

    facts = {"frames_per_embedding": frames_per_embedding(network)} if request["part"] == "events" else {}
    return Plan({"network": model}, golden, named={"network": _OUTPUTS[request["part"]]}, facts=facts)


def plan_encoder(network: keras.Model, frames: np.ndarray, request: dict[str, Any]) -> Plan:
    """One step of the encoder as one file; `frames` [frames, mel_bands]."""
    model, stream = build_step(_encoder_of(network))

    def golden(port: Port) -> dict[str, np.ndarray]:
        found: dict[str, list[np.ndarray]] = {}
        for given, made in _steps(model, stream, port.dequantize(port.quantize(frames))):
            for name, values in {**given, **made}.items():
                found.setdefault(name, []).append(values[0])
        return {name: np.stack(rows) for name, rows in found.items()}

    return Plan({"network": model}, golden, facts={"stream": stream.to_dict()})


def plan_stream(network: keras.Model, recording: np.ndarray, request: dict[str, Any]) -> Plan:
    """A streaming artifact; `recording` [frames, mel_bands].

    The request has `clip_frames` (of each task that it has a decoder for, the log-mel frames that this reads at a
    time), `scene_hop` and `event_hop` (in steps; None for the default).
    """
    # First of all, so that an encoder that can't go step by step is refused with the reason.
    step, stream = build_step(_encoder_of(network))
    network = as_network(network)
    wiring = wire(network, step.name, stream.stride, request["clip_frames"]).streaming(
        stream, request["scene_hop"], request["event_hop"]
    )
    models = {wiring.encoder: step, **build_decoders(network, wiring)}

    def golden(port: Port) -> dict[str, np.ndarray]:
        inputs = port.quantize(recording)
        steps = [made[OUTPUT][0] for _, made in _steps(step, stream, port.dequantize(inputs))]
        return {"recording": inputs, **_decoded(network, wiring, np.stack(steps[stream.latency :]))}

    named = {wiring.scene_head: ["scene_logits"]}
    return Plan(models, golden, wiring.encoder, wiring.scene_head, named, {"wiring": wiring.to_dict()})


PLANS = {"part": plan_part, "encoder": plan_encoder, "stream": plan_stream}


def _encoder_of(network: keras.Model) -> keras.Model:
    """The encoder of a float network, of a network's twin or of the twin of a scene part."""
    names = {layer.name for layer in network.layers}
    if "encoder" in names:
        return network.get_layer("encoder")
    if EMBEDDINGS not in names:
        raise ConversionError(f"{network.name} has no encoder, so there is nothing to stream")
    return keras.Model(network.inputs[0], network.get_layer(EMBEDDINGS).output, name="encoder")


def _steps(model: keras.Model, stream: Stream, frames: np.ndarray) -> Any:
    """What each step takes and gives from a start on: two dicts of arrays [1, ...] by the names of the ports."""
    step = tf.function(model, autograph=False)
    given = {port.name: np.zeros((1, *port.shape[1:]), np.float32) for port in model.inputs}
    for first in range(0, len(frames) - stream.stride + 1, stream.stride):
        given |= {model.inputs[0].name: frames[None, first : first + stream.stride, :, None]}
        made = {name: values.numpy() for name, values in step([tf.constant(each) for each in given.values()]).items()}
        yield given, made
        given = {**given, **{state.taken: made[state.given] for state in stream.states}}


def _decoded(network: keras.Model, wiring: Wiring, embeddings: np.ndarray) -> dict[str, np.ndarray]:
    """The reference outputs of both decoders for the embeddings of a recording [embeddings, size]."""
    found = {}
    if wiring.scene_ring:
        rings = [embeddings[call - wiring.scene_ring : call] for call in wiring.scene_calls(len(embeddings))]
        found["scenes"] = np.asarray(network.get_layer("scene_head")(np.stack(rings)))
    if not wiring.recurrent:
        return found
    decoder = tf.function(network.get_layer("event_head"), autograph=False)
    if wiring.event_ring:
        kept = [
            decoder(embeddings[None, each.first : each.last])["strong"][
                0, each.kept_from - each.first : each.kept_to - each.first
            ]
            for each in wiring.event_passes(len(embeddings))
        ]
        return found | {"strong": np.concatenate(kept)}
    return found | {"strong": decoder(embeddings[None])["strong"][0].numpy()}


def wire(network: keras.Model, encoder: str, stride: int, clip_frames: Mapping[str, int]) -> Wiring:
    """How a network's decoders work together behind its encoder.

    Args:
        network: model of `build_qat` with the wanted decoders.
        encoder: the encoder's name among the members.
        stride: log-mel frames of one embedding.
        clip_frames: for each decoder that is wanted ("scenes", "events"), the log-mel frames that it reads at a time;
            of a causal event decoder, which reads no clip, any number.

    Raises:
        ConversionError: a decoder reads no whole number of embeddings, or the network lacks it.
    """
    names = {layer.name for layer in network.layers}
    for task, head in (("scenes", "scene_head"), ("events", "event_head")):
        if task in clip_frames and head not in names:
            raise ConversionError(f"the network has no layer {head}, so it has no decoder of {task}")
    scenes: dict[str, Any] = {}
    if "scenes" in clip_frames:
        scenes = {"scene_head": "scene_head", "scene_ring": _ring("scenes", clip_frames["scenes"], stride)}
    if "events" not in clip_frames:
        return Wiring(encoder=encoder, **scenes)
    head = network.get_layer("event_head")
    layers = tuple(Recurrent(forward, backward) for forward, backward in recurrent_cells(head))
    causal = all(layer.backward is None for layer in layers)
    given, taken = embeddings_range(network.get_layer("encoder")), head.get_layer(INTERFACE)
    return Wiring(
        encoder=encoder,
        recurrent=layers,
        classifiers="event_classifiers",
        shift=taken.bits - 1 - given.bits if taken.bits != given.bits else None,
        look_ahead=look_ahead_of(head),
        event_ring=0 if causal else _ring("events", clip_frames["events"], stride),
        **scenes,
    )


def _ring(task: str, frames: int, stride: int) -> int:
    """Embeddings that a decoder reads at a time: those of a training clip."""
    if frames % stride or not frames:
        raise ConversionError(
            f"the decoder of {task} reads {frames} frames, no whole number of embeddings of {stride}",
            hint=f"train with a data.{task.removesuffix('s')}_clip_s that is a multiple of {stride} frames",
        )
    return frames // stride


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
