"""Converts tfmot's model to an int8 file: the worker of `convert` for runs that tfmot quantized.

It takes and gives what `keras_mtl.tflite.conversion_worker` does, but in a process of the old Keras.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras

from keras_mtl.errors import ConversionError
from keras_mtl.tflite.artifact import dequantize, describe, quantize
from keras_mtl.tflite.tfmot_files import load_twin
from keras_mtl.tflite.tfmot_twin import build_quantized, set_weights

_BATCH = 50
_REPRESENTATIVE_CLIPS = 100


def work(request: dict[str, Any]) -> dict[str, Any]:
    """Converts a saved twin, and computes the reference outputs of the golden inputs by its own forward pass.

    Args:
        request: as of `keras_mtl.tflite.conversion_worker`; `model` is the path of a `qat_tfmot.npz`.

    Returns:
        As there.
    """
    folder = Path(request["folder"])
    with np.load(request["samples"]) as arrays:
        calibration, golden = arrays["calibration"], arrays["golden"]
    document, weights = load_twin(request["model"])
    model = build_quantized(document)
    set_weights(model, weights)
    content = _to_int8(model, calibration[:_REPRESENTATIVE_CLIPS])
    port = describe(content, 1.0)["inputs"][0]
    inputs = quantize(golden[..., None], port)
    heard = dequantize(inputs, port)
    outputs = [model(heard[i : i + _BATCH], training=False)["scenes"].numpy() for i in range(0, len(heard), _BATCH)]
    paths = {"content": folder / "content", "inputs": folder / "inputs.npy", "outputs": folder / "outputs.npz"}
    paths["content"].write_bytes(content)
    np.save(paths["inputs"], inputs)
    np.savez(paths["outputs"], output=np.concatenate(outputs))
    return {name: str(path) for name, path in paths.items()}


def _to_int8(model: tf_keras.Model, calibration: np.ndarray) -> bytes:
    @tf.function
    def forward(log_mel: Any) -> Any:
        return model(log_mel, training=False)["scenes"]

    holder = tf.Module()
    holder.variables_ = model.variables
    signature = tf.TensorSpec((1, *model.input_shape[1:]), tf.float32, name="log_mel")
    converter = tf.lite.TFLiteConverter.from_concrete_functions([forward.get_concrete_function(signature)], holder)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter._experimental_disable_per_channel_quantization_for_dense_layers = True
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = converter.inference_output_type = tf.int8

    # Strict int8 asks for data although tfmot's ranges win over what it measures.
    def representative() -> Iterator[list[np.ndarray]]:
        for clip in calibration:
            yield [clip[None, ..., None].astype(np.float32)]

    converter.representative_dataset = representative
    try:
        return bytes(converter.convert())
    except Exception as error:  # the converter raises RuntimeError, ValueError and its own
        lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
        raise ConversionError(f"the converter refused int8: {lines[0]}") from None
