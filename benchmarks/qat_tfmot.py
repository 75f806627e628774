"""tensorflow-model-optimization's QAT of the network of `qat.py`, on the old Keras, in a process of its own.

TF_USE_LEGACY_KERAS=1 python benchmarks/qat_tfmot.py WEIGHTS.npz DATA.npz EPOCHS FOLDER

WEIGHTS has arrays "LAYER/NUMBER", DATA `x`, `y`, `seen` and `test`. FOLDER gets calibrated.tflite and trained.tflite,
and beside each as `.npy` what the forward pass that was trained gives for `test`.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import tensorflow as tf
import tensorflow_model_optimization as tfmot
import tf_keras
from qat_network import network

#: Ranges are moving averages of training steps; at a rate of 0 these alone move, and need some passes.
_CALIBRATING = 20


def main(weights_file: str, data_file: str, epochs: str, folder: str) -> None:
    """Quantizes, calibrates, trains, and converts what each of the two gave."""
    tf_keras.utils.set_random_seed(0)
    model = network(tf_keras)
    data = dict(np.load(data_file))
    with np.load(weights_file) as weights:
        for layer in model.layers:
            if layer.weights:
                layer.set_weights([weights[f"{layer.name}/{number}"] for number in range(len(layer.weights))])
    twin = tfmot.quantization.keras.quantize_model(model)
    seen = data["seen"]
    passes = (
        ("calibrated", 0.0, (seen, np.zeros(len(seen))), _CALIBRATING),
        ("trained", 1e-3, (data["x"], data["y"]), int(epochs)),
    )
    for name, rate, examples, count in passes:
        twin.compile(tf_keras.optimizers.Adam(rate), "sparse_categorical_crossentropy")
        twin.fit(*examples, batch_size=64, epochs=count, verbose=0)
        np.save(Path(folder, f"{name}.npy"), twin.predict(data["test"], verbose=0))
        converter = tf.lite.TFLiteConverter.from_keras_model(twin)
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.inference_input_type = converter.inference_output_type = tf.int8
        Path(folder, f"{name}.tflite").write_bytes(converter.convert())


if __name__ == "__main__":
    if len(sys.argv) != 5:
        sys.exit(__doc__)
    main(*sys.argv[1:])
