"""Figures of the scene task: accuracy over all clips and by device and class, and log loss (natural logarithm)."""

from __future__ import annotations

from typing import Any

import numpy as np

from keras_mtl.labels import SCENES


def scene_metrics(logits: np.ndarray, scenes: np.ndarray, devices: np.ndarray) -> dict[str, Any]:
    """Scores scene predictions.

    Args:
        logits: float [clips, scenes].
        scenes: the true scenes, int [clips].
        devices: the recording device of each clip, str [clips].

    Returns:
        `accuracy` (part of the clips that are right), `macro_accuracy` (mean over the scenes that occur), `log_loss`
        (mean, nats), `per_device` and `per_class` (accuracy of each), `clips`.
    """
    logits = np.asarray(logits, np.float64)
    shifted = logits - logits.max(axis=1, keepdims=True)
    log_probabilities = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    hit = logits.argmax(axis=1) == scenes
    per_class = {SCENES[s]: float(hit[scenes == s].mean()) for s in np.unique(scenes)}
    return {
        "accuracy": float(hit.mean()),
        "macro_accuracy": float(np.mean(list(per_class.values()))),
        "log_loss": float(-log_probabilities[np.arange(len(scenes)), scenes].mean()),
        "per_device": {str(d): float(hit[devices == d].mean()) for d in np.unique(devices)},
        "per_class": per_class,
        "clips": len(scenes),
    }
