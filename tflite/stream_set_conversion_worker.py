"""Converts the members of a streaming set: the worker of `convert_stream_set`, in a process of its own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

import keras_mtl.tflite.qat  # noqa: F401  registers the layers of the file
from keras_mtl.tflite.artifact import dequantize, describe, quantize
from keras_mtl.tflite.conversion_worker import to_tflite
from keras_mtl.tflite.members import build_members, wire
from keras_mtl.tflite.qat_scene_parts import as_network
from keras_mtl.tflite.stream_conversion_worker import anything, encoder_of
from keras_mtl.tflite.stream_set_wiring import StreamWiring
from keras_mtl.tflite.stream_step import INPUT, OUTPUT, build_step
from keras_mtl.tflite.stream_wiring import Stream

ENCODER = "encoder_step"


def work(request: dict[str, Any]) -> dict[str, Any]:
    """Converts a quantized network's members, and computes the reference outputs of the golden recording.

    Args:
        request: `model` (path of the `qat.keras` file), `scenes` (whether the set has the scene decoder), `format` of
            encoder and scene head, `cells` of the event decoder (None without one), `samples` (path of an npz with
            `recording`, normalised log-mel float32 [frames, mel_bands]), `window_frames`, `clip_frames`, `scene_hop`,
            `event_hop` (both in steps; None for the default), `folder` where the answer's files go.

    Returns:
        `wiring`; `members`: {name: {"content": path, "format", "inputs", "outputs": names of its ports}}; `golden`:
        path of the npz that `ArtifactSet.golden` describes.
    """
    folder = Path(request["folder"])
    with np.load(request["samples"]) as arrays:
        recording = arrays["recording"]
    network = keras.saving.load_model(request["model"], compile=False)
    # First of all, so that an encoder that can't go step by step is refused with the reason.
    step, stream = build_step(encoder_of(network))
    network = as_network(network)
    windowed = wire(network, request["window_frames"], request["clip_frames"], request["scenes"])
    wiring = StreamWiring.of(windowed, stream, ENCODER, request["scene_hop"], request["event_hop"])
    models = {ENCODER: step}
    models |= {name: model for name, model in build_members(network, windowed).items() if name != windowed.encoder}
    answer: dict[str, Any] = {"wiring": wiring.to_dict(), "members": {}}
    for name, model in models.items():
        kind = request["format"] if name in (ENCODER, wiring.scene_head) else request["cells"]
        content = to_tflite(model, kind, anything(model))
        (folder / name).write_bytes(content)
        given = {wiring.scene_head: "scene_logits"}.get(name, "next_state")
        answer["members"][name] = {
            "content": str(folder / name),
            "format": kind,
            "inputs": [port.name for port in model.inputs],
            "outputs": list(model.output) if isinstance(model.output, dict) else [given],
        }
        if name == ENCODER:
            port = next(port for port in describe(content, 1.0)["inputs"] if INPUT in port["name"])
    np.savez(folder / "golden.npz", **_golden(network, step, wiring, quantize(recording, port), port))
    return {**answer, "golden": str(folder / "golden.npz")}


def _golden(
    network: keras.Model, step: keras.Model, wiring: StreamWiring, recording: np.ndarray, port: dict[str, Any]
) -> dict[str, np.ndarray]:
    """What the network says of a recording that is heard from a start on."""
    embeddings = _embeddings(step, wiring.stream, dequantize(recording, port))
    golden = {"recording": recording}
    if wiring.scene_ring:
        rings = [embeddings[heard - wiring.scene_ring : heard] for heard in wiring.scene_calls(len(embeddings))]
        golden["scenes"] = np.asarray(network.get_layer("scene_head")(np.stack(rings)))
    if not wiring.recurrent:
        return golden
    decoder = tf.function(network.get_layer("event_head"))
    if wiring.event_ring:
        found = [
            decoder(embeddings[None, turn.first : turn.last])["strong"][
                0, turn.kept_from - turn.first : turn.kept_to - turn.first
            ]
            for turn in wiring.turns(len(embeddings))
        ]
        golden["strong"] = np.concatenate(found)
    else:
        golden["strong"] = decoder(embeddings[None])["strong"][0].numpy()
    return golden


def _embeddings(step: keras.Model, stream: Stream, frames: np.ndarray) -> np.ndarray:
    """The embeddings of a recording [embeddings, size], step by step."""
    run = tf.function(step)
    states = [tf.zeros((1, *port.shape[1:])) for port in step.inputs[1:]]
    found = []
    for first in range(0, len(frames) - stream.stride + 1, stream.stride):
        made = run([tf.constant(frames[None, first : first + stream.stride, :, None]), *states])
        states = [made[state.given] for state in stream.states]
        found.append(made[OUTPUT][0].numpy())
    return np.stack(found[stream.latency :])
