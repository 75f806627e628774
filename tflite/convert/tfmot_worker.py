"""Converts tfmot's model to an int8 file: the worker of `convert` for runs that tfmot quantized.

It takes and gives what `keras_mtl.tflite.convert.worker` does, but in a process of the old Keras.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from keras_mtl.tflite import flatbuffer
from keras_mtl.tflite.artifact import Port
from keras_mtl.tflite.convert.converter import converted
from keras_mtl.tflite.tfmot import build_quantized, load_twin, set_weights

_BATCH = 50


def work(request: dict[str, Any]) -> dict[str, Any]:
    """Converts a saved twin, and computes the reference outputs of the golden inputs by its own forward pass.

    Args:
        request: as of `keras_mtl.tflite.convert.worker`; `model` is the path of a `qat_tfmot.npz`.

    Returns:
        As there.
    """
    folder = Path(request["folder"])
    with np.load(request["samples"]) as arrays:
        calibration, golden = arrays["calibration"], arrays["golden"]
    document, weights = load_twin(request["model"])
    model = build_quantized(document)
    set_weights(model, weights)

    @tf.function
    def forward(log_mel: Any) -> Any:
        return model(log_mel, training=False)["scenes"]

    signature = tf.TensorSpec((1, *model.input_shape[1:]), tf.float32, name="log_mel")
    content = converted(forward.get_concrete_function(signature), model.variables, "int8", calibration)
    (folder / "network").write_bytes(content)
    (tensor,) = flatbuffer.graph_inputs(flatbuffer.read_model(content))
    port = Port.of(tensor)
    inputs = port.quantize(golden[..., None])
    real = port.dequantize(inputs)
    outputs = [model(real[i : i + _BATCH], training=False)["scenes"].numpy() for i in range(0, len(real), _BATCH)]
    np.savez(folder / "golden.npz", log_mel=inputs, scene_logits=np.concatenate(outputs))
    member = {"content": str(folder / "network"), "format": "int8", "inputs": ["log_mel"], "outputs": ["scene_logits"]}
    return {"members": {"network": member}, "golden": str(folder / "golden.npz")}
