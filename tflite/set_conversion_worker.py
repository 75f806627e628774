"""Converts the members of a set: the worker of `convert_set`, in a process of its own because it can crash or hang."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

import keras_mtl.tflite.qat  # noqa: F401  registers the layers of the file
from keras_mtl.models.event_part import build_event_part
from keras_mtl.models.scene_part import build_scene_part
from keras_mtl.tflite.artifact import dequantize, describe, quantize
from keras_mtl.tflite.conversion_worker import to_tflite
from keras_mtl.tflite.members import build_members, wire

_EVENT_BATCH = 8
_ROWS = 16
#: Golden clips of the scene part: it shares its encoder with the events' clips, of ten seconds each.
_SECONDS = 24


def work(request: dict[str, Any]) -> dict[str, Any]:
    """Converts a quantized network's members, and computes the reference outputs of the golden clips.

    Args:
        request: `model` (path of the `qat.keras` file), `part` ("events" or "joint"), `format` of encoder and scene
            head, `cells` of the event decoder, `samples` (path of an npz with `golden` and `golden_events`, float32
            [n, frames, mel_bands]), `window_frames`, `folder` where the answer's files go.

    Returns:
        `wiring`; `members`: {name: {"content": path, "inputs", "outputs": names of its ports}}; `golden`: path of the
        npz that `ArtifactSet.golden` describes.
    """
    folder = Path(request["folder"])
    with np.load(request["samples"]) as arrays:
        seconds, clips = arrays["golden"][:_SECONDS], arrays["golden_events"]
    network = keras.saving.load_model(request["model"], compile=False)
    wiring = wire(network, request["window_frames"], clips.shape[1], request["part"] == "joint")
    answer: dict[str, Any] = {"wiring": wiring.to_dict(), "members": {}}
    event_members = {*wiring.members} - {wiring.encoder, wiring.scene_head}
    for name, model in build_members(network, wiring).items():
        kind = request["cells"] if name in event_members else request["format"]
        content = to_tflite(model, kind, _anything(model))
        (folder / name).write_bytes(content)
        answer["members"][name] = {
            "content": str(folder / name),
            "format": kind,
            "inputs": [port.name for port in model.inputs],
            "outputs": _output_names(model, name, wiring),
        }
        if name == wiring.encoder:
            port = describe(content, 1.0)["inputs"][0]
    golden = _golden(network, port, seconds if wiring.scene_head else None, clips if wiring.classifiers else None)
    np.savez(folder / "golden.npz", **golden)
    return {**answer, "golden": str(folder / "golden.npz")}


def _anything(model: keras.Model) -> dict[str, np.ndarray]:
    """Strict int8 asks for data, although the ranges of the network win over whatever is in them."""
    random = np.random.default_rng(0)
    return {port.name: random.uniform(-1, 1, (_ROWS, *port.shape[1:])).astype(np.float32) for port in model.inputs}


def _output_names(model: keras.Model, name: str, wiring: Any) -> list[str]:
    if isinstance(model.output, dict):
        return list(model.output)
    return [{wiring.encoder: "embeddings", wiring.scene_head: "scene_logits"}.get(name, "next_state")]


def _golden(
    network: keras.Model, port: dict[str, Any], seconds: np.ndarray | None, clips: np.ndarray | None
) -> dict[str, np.ndarray]:
    golden = {}
    if seconds is not None:
        golden["seconds"] = quantize(seconds[..., None], port)
        scenes = tf.function(build_scene_part(network, seconds.shape[1]))
        golden["scenes"] = scenes(dequantize(golden["seconds"], port)).numpy()
    if clips is not None:
        golden["clips"] = quantize(clips[..., None], port)
        events = tf.function(build_event_part(network, clips.shape[1]))
        heard = dequantize(golden["clips"], port)
        found = [events(heard[i : i + _EVENT_BATCH]) for i in range(0, len(heard), _EVENT_BATCH)]
        golden |= {name: np.concatenate([each[name] for each in found]) for name in ("strong", "weak")}
    return golden
