"""Predictors made of float Keras networks."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from keras_mtl.core import Labels, LogMelSettings
from keras_mtl.datasets import DataSettings
from keras_mtl.decoding import DecodeSettings
from keras_mtl.features import AnyLogMel, normalise
from keras_mtl.inference.predictor import Predictor
from keras_mtl.models import build_event_part, build_scene_part, frames_per_embedding
from keras_mtl.runs import Run

SCENE_BATCH = 128
_EVENT_BATCH = 16
#: Of a batch at most, whatever the clips' length.
_BATCH_FRAMES = 16_000
_PARTS = 4  # of so many lengths


def network_predictor(
    network: keras.Model,
    settings: LogMelSettings,
    decoding: DecodeSettings,
    labels: Labels,
    tasks: Sequence[str] = ("scenes", "events"),
    data: DataSettings | None = None,
) -> Predictor:
    """A predictor of a network with the layers "encoder", "scene_head" and "event_head", for its trained tasks."""
    data, labels = data or DataSettings(), labels.of(tasks)
    # Kept, since a recording takes many calls, and each new part would be traced anew and never freed.
    scene_part = functools.lru_cache(_PARTS)(functools.partial(build_scene_part, network))
    event_part = functools.lru_cache(_PARTS)(functools.partial(build_event_part, network))

    def scene_logits(log_mel: AnyLogMel) -> np.ndarray:
        return predict_in_batches(scene_part(log_mel.shape[1]), log_mel, settings, SCENE_BATCH)

    def event_probabilities(log_mel: AnyLogMel) -> tuple[np.ndarray, np.ndarray]:
        out = predict_in_batches(event_part(log_mel.shape[1]), log_mel, settings, _EVENT_BATCH)
        return out["strong"], out["weak"]

    scenes = scene_logits if "scenes" in tasks else None
    if "events" not in tasks:
        return Predictor(settings, scenes, decoding=decoding, labels=labels, data=data)
    event_frames = network.get_layer("encoder").input_shape[1]
    stride = frames_per_embedding(network)
    return Predictor(settings, scenes, event_probabilities, stride, decoding, event_frames, labels, data)


def run_predictor(run: Run) -> Predictor:
    """A predictor of a run folder's float network, for the tasks it was trained on."""
    recipe = run.recipe
    return network_predictor(run.network(), run.settings, recipe.decode, run.labels, run.info["tasks"], recipe.data)


def predict_in_batches(model: keras.Model, log_mel: AnyLogMel, settings: LogMelSettings, batch: int) -> Any:
    """Outputs of a model over clips of log-mel in dB, normalised batch by batch (the clips may not fit in memory)."""
    parts, batch = [], max(1, min(batch, _BATCH_FRAMES // log_mel.shape[1]))
    for first in range(0, len(log_mel), batch):
        values = normalise(log_mel[first : first + batch], settings)[..., None]
        kept = len(values)
        if kept < batch and first:  # one shape, one trace
            values = np.concatenate([values, np.zeros((batch - kept, *values.shape[1:]), np.float32)])
        out = model.predict_on_batch(values)
        parts.append(keras.tree.map_structure(lambda value, kept=kept: value[:kept], out))
    return keras.tree.map_structure(lambda *values: np.concatenate(values), *parts)
