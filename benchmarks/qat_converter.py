"""TensorFlow Lite's own post-training quantization of a `.keras` file; `qat.py` runs it, since it may crash.

python benchmarks/qat_converter.py MODEL.keras int8|int16x8 EXAMPLES.npy OUT.tflite
"""

from __future__ import annotations

import sys
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf


def main(model_file: str, kind: str, examples_file: str, out: str) -> None:
    """Converts with a representative data set, as the documentation of the converter has it."""
    model, examples = keras.saving.load_model(model_file), np.load(examples_file)
    signature = tf.TensorSpec((1, *model.input_shape[1:]), tf.float32)
    concrete = tf.function(lambda x: model(x, training=False), autograph=False).get_concrete_function(signature)
    holder = tf.Module()
    holder.variables_ = [weight.value for weight in model.weights]
    converter = tf.lite.TFLiteConverter.from_concrete_functions([concrete], holder)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: ([row[None]] for row in examples)
    sets = tf.lite.OpsSet
    wide = sets.EXPERIMENTAL_TFLITE_BUILTINS_ACTIVATIONS_INT16_WEIGHTS_INT8
    converter.target_spec.supported_ops = [sets.TFLITE_BUILTINS_INT8 if kind == "int8" else wide]
    converter.inference_input_type = converter.inference_output_type = tf.int8 if kind == "int8" else tf.int16
    Path(out).write_bytes(converter.convert())


if __name__ == "__main__":
    if len(sys.argv) != 5:
        sys.exit(__doc__)
    main(*sys.argv[1:])
