"""The evaluation stage: a network and a corpus in, the figures of its tasks out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np

from keras_mtl.datasets.corpus import Corpus
from keras_mtl.errors import DataError
from keras_mtl.event_metrics import event_metrics
from keras_mtl.feature_sets import event_set, scene_set
from keras_mtl.features import LogMelSettings
from keras_mtl.log_mel import normalise
from keras_mtl.models import build_scene_part, frames_per_embedding
from keras_mtl.recipes.settings import DecodeSettings
from keras_mtl.scene_metrics import scene_metrics
from keras_mtl.timeline import Grid

EVALUATION_SPLITS = {"scenes": "test", "events": "validation"}
_BATCH = {"scenes": 128, "events": 16}


def evaluate_network(
    network: keras.Model,
    corpus: Corpus,
    settings: LogMelSettings,
    decoding: DecodeSettings,
    cache: Path,
    tasks: Sequence[str] = ("scenes", "events"),
) -> dict[str, Any]:
    """Scores a network on the evaluation splits that the corpus has, of these tasks.

    Returns:
        {"scenes": figures of `scene_metrics`, "events": figures of `event_metrics`}, those that could be scored.

    Raises:
        DataError: the corpus has an evaluation split of none of the tasks.
    """
    figures: dict[str, Any] = {}
    plain = settings.normalised(0.0, 1.0)
    if "scenes" in tasks and "test" in corpus.scenes:
        clips = scene_set(corpus, "test", plain, cache)
        part = build_scene_part(network, clips.levels.shape[1])
        logits = predict_in_batches(part, clips.levels, settings, _BATCH["scenes"])
        figures["scenes"] = scene_metrics(logits, clips.scenes, clips.devices)
    if "events" in tasks and "validation" in corpus.events:
        events = event_set(corpus, "validation", plain, cache)
        strong, weak = predict_events(network, events.levels, settings)
        grid = Grid.over(settings, events.levels.shape[1], frames_per_embedding())
        figures["events"] = event_metrics(strong, weak, events.events, grid, decoding)
    if not figures:
        raise DataError(f"{corpus.name}: no evaluation split for {' or '.join(tasks)}", hint="see docs/data.md")
    return figures


def predict_events(
    network: keras.Model, levels: np.ndarray, settings: LogMelSettings
) -> tuple[np.ndarray, np.ndarray]:
    """Frame and clip probabilities of clips.

    Args:
        network: a network with the layers "encoder" and "event_head".
        levels: log-mel levels in dB [clips, frames, mel_bands].
        settings: the features with the network's normalisation.

    Returns:
        [clips, frames / 4, events] and [clips, events].
    """
    encoder, head = network.get_layer("encoder"), network.get_layer("event_head")
    inputs = keras.Input((levels.shape[1], *encoder.input_shape[2:]))
    outputs = predict_in_batches(keras.Model(inputs, head(encoder(inputs))), levels, settings, _BATCH["events"])
    return outputs["strong"], outputs["weak"]


def predict_in_batches(model: keras.Model, levels: np.ndarray, settings: LogMelSettings, batch: int) -> Any:
    """Outputs of a model over clips of levels in dB, normalised batch by batch (the clips may not fit in memory)."""
    parts = []
    for first in range(0, len(levels), batch):
        values = normalise(levels[first : first + batch], settings)[..., None]
        missing = batch - len(values)
        if missing and first:  # one shape, one trace
            values = np.concatenate([values, np.zeros((missing, *values.shape[1:]), np.float32)])
        out = model.predict_on_batch(values)
        kept = min(batch, len(levels) - first)
        parts.append(keras.tree.map_structure(lambda value, kept=kept: value[:kept], out))
    return keras.tree.map_structure(lambda *values: np.concatenate(values), *parts)
