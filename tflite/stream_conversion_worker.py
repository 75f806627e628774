"""Converts a streaming encoder's step: the worker of `convert_stream`, in a process of its own because it can crash."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

import keras_mtl.tflite.qat  # noqa: F401  registers the layers of the file
from keras_mtl.errors import ConversionError
from keras_mtl.tflite.artifact import dequantize, describe, quantize
from keras_mtl.tflite.conversion_worker import to_tflite
from keras_mtl.tflite.qat_signals import EMBEDDINGS
from keras_mtl.tflite.stream_step import INPUT, build_step
from keras_mtl.tflite.stream_wiring import Stream

_ROWS = 16


def work(request: dict[str, Any]) -> dict[str, Any]:
    """Converts one step of a network's encoder, and runs the golden steps.

    Args:
        request: `model` (path of a `.keras` file), `format`, `samples` (path of an npz with `frames`, normalised
            log-mel of one stretch of audio, float32 [frames, mel_bands]), `folder` where the answer's files go.

    Returns:
        `content` (path of the converter's bytes), `inputs` and `outputs` (names of the ports in order), `stream`
        (`Stream.to_dict`), and `golden`: path of an npz with `input_0`, ..., `output_0`, ... of consecutive steps from
        a start, real values as float32.
    """
    folder = Path(request["folder"])
    with np.load(request["samples"]) as arrays:
        frames = arrays["frames"]
    model, stream = build_step(encoder_of(keras.saving.load_model(request["model"], compile=False)))
    content = to_tflite(model, request["format"], anything(model))
    (folder / "content").write_bytes(content)
    port = next(port for port in describe(content, 1.0)["inputs"] if INPUT in port["name"])
    golden = _golden(model, stream, dequantize(quantize(frames, port), port))
    np.savez(folder / "golden.npz", **golden)
    return {
        "content": str(folder / "content"),
        "inputs": [each.name for each in model.inputs],
        "outputs": list(model.output),
        "stream": stream.to_dict(),
        "golden": str(folder / "golden.npz"),
    }


def encoder_of(network: keras.Model) -> keras.Model:
    """The encoder of a float network, of a network's twin or of the twin of a scene part.

    Raises:
        ConversionError: a network without one.
    """
    names = {layer.name for layer in network.layers}
    if "encoder" in names:
        return network.get_layer("encoder")
    if EMBEDDINGS not in names:
        raise ConversionError(f"{network.name} has no encoder, so there is nothing to stream")
    return keras.Model(network.inputs[0], network.get_layer(EMBEDDINGS).output, name="encoder")


def anything(model: keras.Model) -> dict[str, np.ndarray]:
    """Data for each input of a model: strict int8 asks for some, although the network's ranges win over what is there.

    Returns:
        float32 [rows, ...] by the input's name, the same every time.
    """
    random = np.random.default_rng(0)
    return {port.name: random.uniform(-1, 1, (_ROWS, *port.shape[1:])).astype(np.float32) for port in model.inputs}


def _golden(model: keras.Model, stream: Stream, frames: np.ndarray) -> dict[str, np.ndarray]:
    """What each step takes and gives, from the start on."""
    step = tf.function(model)
    states = [np.zeros((1, *port.shape[1:]), np.float32) for port in model.inputs[1:]]
    found: dict[str, list[np.ndarray]] = {}
    for first in range(0, len(frames) - stream.stride + 1, stream.stride):
        given = [frames[None, first : first + stream.stride, :, None], *states]
        made = {name: values.numpy() for name, values in step([tf.constant(values) for values in given]).items()}
        for end, arrays in (("input", given), ("output", list(made.values()))):
            for number, values in enumerate(arrays):
                found.setdefault(f"{end}_{number}", []).append(values[0])
        states = [made[state.given] for state in stream.states]
    return {name: np.stack(rows) for name, rows in found.items()}
