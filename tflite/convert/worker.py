"""Runs the TensorFlow Lite converter: the worker of `convert`, in a process of its own because it can crash or hang."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_mtl.tflite import flatbuffer
from keras_mtl.tflite.artifact import Port
from keras_mtl.tflite.convert.converter import Calibration, converted
from keras_mtl.tflite.convert.plans import PLANS
from keras_mtl.tflite.qat import registered  # noqa: F401  registers the layers of the file

_ROWS = 16


def work(request: dict[str, Any]) -> dict[str, Any]:
    """Takes a saved network apart into the models of an artifact's members, converts them, and makes golden data.

    Args:
        request: `model` (path of a `.keras` file), `plan` (one of `PLANS`), what this plan reads, `format` (of the
            event decoder's members `cells`), `samples` (path of an npz with `golden`, normalised log-mel, float32, and
            `calibration`, the same), and `folder`, where the result's files go.

    Returns:
        `members`: {name: {"content": path of the converter's bytes, "format", "inputs", "outputs": names of the
        ports}}; `wiring` (`Wiring.to_dict`) of a streaming artifact, `stream` (`Stream.to_dict`) of an encoder alone;
        and `golden`: path of an npz with the reference inputs and outputs, by name.
    """
    folder = Path(request["folder"])
    with np.load(request["samples"]) as arrays:
        calibration, golden = arrays["calibration"], arrays["golden"]
    plan = PLANS[request["plan"]](keras.saving.load_model(request["model"], compile=False), golden, request)
    members, inputs = {}, []
    for name, model in plan.models.items():
        kind = request["format"] if name in (plan.encoder, plan.scene_head) else request["cells"]
        content = to_tflite(model, kind, calibration if len(calibration) else _random(model))
        (folder / name).write_bytes(content)
        members[name] = {"content": str(folder / name), "format": kind}
        members[name] |= {"inputs": [port.name for port in model.inputs], "outputs": plan.outputs(name)}
        if name == plan.encoder:
            inputs = [Port.of(tensor) for tensor in flatbuffer.graph_inputs(flatbuffer.read_model(content))]
    # Of several inputs the converter has its own order, and names that hold ours.
    port = next(port for port in inputs if len(inputs) == 1 or "log_mel" in port.name)
    np.savez(folder / "golden.npz", **plan.golden(port))
    return {"members": members, "golden": str(folder / "golden.npz"), **plan.facts}


def to_tflite(model: keras.Model, kind: str, calibration: Calibration) -> bytes:
    """The converter's bytes for a functional model, with a fixed batch of 1.

    Args:
        model: float model, or the quantization-aware one for the integer formats.
        kind: "float32", "float16", "int8" or "int16x8".
        calibration: read for "int8" only: normalised log-mel [n, frames, mel_bands], or for a model of several inputs
            [n, ...] of each by its name.

    Raises:
        ConversionError: the converter refused.
    """
    several = len(model.inputs) > 1

    @tf.function(autograph=False)
    def forward(*given: Any) -> Any:
        return model(list(given) if several else given[0], training=False)

    signature = [tf.TensorSpec((1, *port.shape[1:]), tf.float32, name=port.name) for port in model.inputs]
    _imitate_kernels(model, False)  # the file's own kernels round as they do
    concrete = forward.get_concrete_function(*signature)
    _imitate_kernels(model, True)
    return converted(concrete, [weight.value for weight in model.weights], kind, calibration)


def _random(model: keras.Model) -> dict[str, np.ndarray]:
    """Data for strict int8, which needs some, although the ranges of the network win over whatever is in them."""
    random = np.random.default_rng(0)
    return {port.name: random.uniform(-1, 1, (_ROWS, *port.shape[1:])).astype(np.float32) for port in model.inputs}


def _imitate_kernels(model: keras.Model, imitate: bool) -> None:
    for layer in model._flatten_layers():
        if hasattr(layer, "imitates_kernels"):
            layer.imitates_kernels = imitate
