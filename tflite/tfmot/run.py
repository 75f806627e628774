"""The forward pass of tfmot's model of a quantized run, in any process: its graph, with the weights in it."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from keras_mtl.core import RunError
from keras_mtl.runs import Run
from keras_mtl.tflite.tfmot.files import GRAPH_FILE, GRAPH_INPUT, GRAPH_OUTPUT


class TfmotNetwork:
    """What `qat_tfmot.pb` computes: normalised log-mel [batch, frames, mel_bands, 1] to logits [batch, scenes].

    Args:
        run: a run that tfmot quantized.

    Raises:
        RunError: the file is missing or damaged.
    """

    def __init__(self, run: Run) -> None:
        path = run.path / GRAPH_FILE
        graph = tf.compat.v1.GraphDef()
        try:
            graph.ParseFromString(path.read_bytes())
            wrapped = tf.compat.v1.wrap_function(lambda: tf.compat.v1.import_graph_def(graph, name=""), [])
            self._forward = wrapped.prune(GRAPH_INPUT, GRAPH_OUTPUT)
        except Exception:  # protobuf and TensorFlow each raise their own
            raise RunError(f"{path} is missing or damaged", hint="quantize the float run again") from None

    def predict_on_batch(self, values: Any) -> np.ndarray:
        """Logits of clips."""
        return self._forward(tf.constant(values, tf.float32)).numpy()
