"""TensorFlow Lite's converter on a `.keras` file, as it is and quantized; `qat.py` runs it, since it may crash.

python benchmarks/qat_converter.py MODEL.keras EXAMPLES.npy FOLDER

FOLDER gets float32.tflite, int8.tflite and int16x8.tflite, as far as it comes.
"""

from __future__ import annotations

import sys
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf


def main(model_file: str, examples_file: str, folder: str) -> None:
    """Converts with a representative data set, as the documentation of the converter has it; float32 as it is."""
    model, examples = keras.saving.load_model(model_file), np.load(examples_file)
    signature = tf.TensorSpec((1, *model.input_shape[1:]), tf.float32)
    concrete = tf.function(lambda x: model(x, training=False), autograph=False).get_concrete_function(signature)
    holder = tf.Module()
    holder.variables_ = [weight.value for weight in model.weights]
    sets = tf.lite.OpsSet
    wide = sets.EXPERIMENTAL_TFLITE_BUILTINS_ACTIVATIONS_INT16_WEIGHTS_INT8
    kinds = {"float32": None, "int8": (sets.TFLITE_BUILTINS_INT8, tf.int8), "int16x8": (wide, tf.int16)}
    for kind, wanted in kinds.items():
        converter = tf.lite.TFLiteConverter.from_concrete_functions([concrete], holder)
        if wanted:
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
            converter.representative_dataset = lambda: ([row[None]] for row in examples)
            converter.target_spec.supported_ops = [wanted[0]]
            converter.inference_input_type = converter.inference_output_type = wanted[1]
        Path(folder, f"{kind}.tflite").write_bytes(converter.convert())


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    main(*sys.argv[1:])
