"""Runs the TensorFlow Lite converter: the worker of `convert`, in a process of its own because it can crash or hang."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

import keras_mtl.tflite.qat  # noqa: F401  registers the layers of the file
from keras_mtl.errors import ConversionError
from keras_mtl.models.event_part import build_event_part
from keras_mtl.models.scene_part import build_scene_part
from keras_mtl.tflite.artifact import dequantize, describe, quantize

_BATCH = 50
_REPRESENTATIVE_CLIPS = 100
_PARTS = {"scenes": build_scene_part, "events": build_event_part}


def work(request: dict[str, Any]) -> dict[str, Any]:
    """Converts a saved model, and computes the reference outputs of the golden inputs.

    Args:
        request: `model` (path of a `.keras` file), `part`, `format`, `samples` (path of an npz with `calibration` and
            `golden`, float32 [n, frames, mel_bands]), `folder` where the answer's files go.

    Returns:
        Paths `content` (the converter's bytes), `inputs` (golden inputs as the file takes them) and `outputs` (an npz:
        real outputs of the model that was converted, float32, by name: "strong" and "weak" of the event part, "output"
        where there is one alone).
    """
    folder = Path(request["folder"])
    with np.load(request["samples"]) as arrays:
        calibration, golden = arrays["calibration"], arrays["golden"]
    model = keras.saving.load_model(request["model"], compile=False)
    if request["format"] in ("float32", "float16") or _has_parts(model):
        model = _PARTS[request["part"]](model, golden.shape[1])
    content = to_tflite(model, request["format"], calibration)
    port = describe(content, 1.0)["inputs"][0]
    inputs = quantize(golden[..., None], port)
    heard = dequantize(inputs, port)
    batches = [_by_name(model(heard[i : i + _BATCH], training=False)) for i in range(0, len(heard), _BATCH)]
    paths = {"content": folder / "content", "inputs": folder / "inputs.npy", "outputs": folder / "outputs.npz"}
    paths["content"].write_bytes(content)
    np.save(paths["inputs"], inputs)
    np.savez(paths["outputs"], **{name: np.concatenate([batch[name] for batch in batches]) for name in batches[0]})
    return {name: str(path) for name, path in paths.items()}


def _has_parts(model: keras.Model) -> bool:
    """Whether a quantized network is whole, as of `quantize --part joint`. The twin of the scene part alone has none.

    A whole one has the event head's loops in it, which the converter of integers does not take.
    """
    return "encoder" in {layer.name for layer in model.layers}


def _by_name(outputs: Any) -> dict[str, np.ndarray]:
    named = outputs if isinstance(outputs, dict) else {"output": outputs}
    return {name: np.asarray(values) for name, values in named.items()}


def to_tflite(model: keras.Model, kind: str, calibration: np.ndarray | dict[str, np.ndarray]) -> bytes:
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

    @tf.function
    def forward(*given: Any) -> Any:
        return model(list(given) if several else given[0], training=False)

    # The plain variables: with the Keras model as the holder, READ_VARIABLE stays in the graph and int8 fails.
    holder = tf.Module()
    holder.variables_ = [weight.value for weight in model.weights]
    signature = [tf.TensorSpec((1, *port.shape[1:]), tf.float32, name=port.name) for port in model.inputs]
    _imitate_kernels(model, False)  # the file's own kernels round as they do
    concrete = forward.get_concrete_function(*signature)
    _imitate_kernels(model, True)
    converter = tf.lite.TFLiteConverter.from_concrete_functions([concrete], holder)
    _configure(converter, kind, calibration)
    try:
        return bytes(converter.convert())
    except Exception as error:  # the converter raises RuntimeError, ValueError and its own
        lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
        raise ConversionError(f"the converter refused {kind}: {lines[0]}") from None


def _imitate_kernels(model: keras.Model, imitate: bool) -> None:
    for layer in model._flatten_layers():
        if hasattr(layer, "imitates_kernels"):
            layer.imitates_kernels = imitate


def _configure(converter: Any, kind: str, calibration: np.ndarray | dict[str, np.ndarray]) -> None:
    if kind == "float32":
        return
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if kind == "float16":
        converter.target_spec.supported_types = [tf.float16]
        return
    # CMSIS-NN's int16x8 FULLY_CONNECTED refuses per-channel weights.
    converter._experimental_disable_per_channel_quantization_for_dense_layers = True
    if kind == "int8":
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        converter.inference_input_type = converter.inference_output_type = tf.int8

        # Strict int8 asks for data although the fake-quantized ranges win over what it measures.
        def representative() -> Iterator[Any]:
            if isinstance(calibration, dict):
                for row in zip(*calibration.values(), strict=True):
                    yield {name: value[None] for name, value in zip(calibration, row, strict=True)}
                return
            for clip in calibration[:_REPRESENTATIVE_CLIPS]:
                yield [clip[None, ..., None].astype(np.float32)]

        converter.representative_dataset = representative
    else:
        # No representative data here: with them the converter refuses the fake-quantized graph.
        int16x8 = tf.lite.OpsSet.EXPERIMENTAL_TFLITE_BUILTINS_ACTIVATIONS_INT16_WEIGHTS_INT8
        converter.target_spec.supported_ops = [int16x8]
        converter.inference_input_type = converter.inference_output_type = tf.int16
