"""Calibrated twins to run while a choice of their layers rounds: of the scene part, or of the event part."""

from __future__ import annotations

from collections.abc import Container
from dataclasses import replace
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_mtl.tflite.qat import EMBEDDINGS, INTERFACE, FakeQuantGRU, embeddings_range
from keras_mtl.tflite.sensitivity.partial_quantization import parts_of, run_partly


class SceneProbe:
    """A twin of `build_qat` for scenes: its outputs are logits [n, scenes], and a scene is decided.

    Args:
        twin: calibrated.
    """

    batch = 50

    def __init__(self, twin: keras.Model) -> None:
        self.twin, self.parts = twin, parts_of(twin)
        self._model = keras.Model(twin.input, [twin.get_layer(EMBEDDINGS).output, twin.output])

    def __call__(self, clips: np.ndarray, rounding: Container[str]) -> tuple[np.ndarray, np.ndarray]:
        """Log-mel [n, frames, mel_bands, 1], and names of the layers that round, to (embeddings, logits)."""
        embeddings, outputs = run_partly(self._model, clips, rounding)
        return np.asarray(embeddings), np.asarray(outputs)

    def decided(self, outputs: np.ndarray) -> np.ndarray:
        """The scene of each clip."""
        return outputs.argmax(-1)


class EventProbe:
    """A twin of `build_qat` with an event decoder.

    Its outputs are probabilities [n, embeddings + 1, events], the clip's behind those of time; whether each is above
    0.5 is decided. The range by which the decoder takes embeddings belongs to the encoder's last part.

    Recurrent layers are compiled, since a loop of 250 steps takes seconds otherwise; that moves a value to the next
    level here and there.

    Args:
        twin: calibrated.
    """

    batch = 8

    def __init__(self, twin: keras.Model) -> None:
        self.twin = twin
        self._encoder, self._head = twin.get_layer("encoder"), twin.get_layer("event_head")
        last = embeddings_range(self._encoder).name
        encoder = [
            replace(part, layers=(*part.layers, INTERFACE), ranges=(*part.ranges, INTERFACE))
            if last in part.layers
            else part
            for part in parts_of(self._encoder)
        ]
        self.parts = encoder + [part for part in parts_of(self._head) if INTERFACE not in part.layers]
        self._compiled = {
            layer.name: tf.function(layer, reduce_retracing=True)
            for layer in self._head.layers
            if isinstance(layer, FakeQuantGRU)
        }

    def __call__(self, clips: np.ndarray, rounding: Container[str]) -> tuple[np.ndarray, np.ndarray]:
        """Log-mel [n, frames, mel_bands, 1], and names of the layers that round, to (embeddings, probabilities)."""
        embeddings = run_partly(self._encoder, clips, rounding)
        found: dict[str, Any] = run_partly(self._head, embeddings, rounding, self._compiled)
        return np.asarray(embeddings), np.concatenate([found["strong"], np.asarray(found["weak"])[:, None]], axis=1)

    def decided(self, outputs: np.ndarray) -> np.ndarray:
        """Which events are on, at each embedding and in the clip."""
        return outputs > 0.5


#: What sensitivities are measured on: `parts` that round, in the order of computation, and `batch`, clips at a time.
Probe = SceneProbe | EventProbe
