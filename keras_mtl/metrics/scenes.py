"""Figures of the scene task with their intervals: accuracy, macro accuracy and log loss, by device and by scene.

Conventions: accuracies are parts of 1, log loss is in nats; macro is the mean over the scenes that occur; intervals are
those of `keras_mtl.metrics.bootstrap`, over recordings.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from keras_mtl.metrics.bootstrap import Bootstrap, mean_of_known, ratio


def scene_metrics(
    logits: np.ndarray,
    scenes: np.ndarray,
    devices: np.ndarray,
    labels: Sequence[str],
    seen_devices: Sequence[str],
    recordings: np.ndarray | None = None,
    bootstrap: Bootstrap | None = None,
) -> dict[str, Any]:
    """Scores scene predictions.

    Args:
        logits: float [clips, scenes].
        scenes: the true scenes, int [clips].
        devices: the recording device of each clip, str [clips]; "" where it is not known.
        labels: the names of the scenes.
        seen_devices: the devices that count as seen in training.
        recordings: the recording that each clip was cut from, str [clips]; without it, each clip is one of its own.
        bootstrap: how intervals are made; 1000 draws by default.

    Returns:
        `accuracy` (part of the clips that are right), `macro_accuracy` (mean over the scenes that occur), `log_loss`
        (mean, nats), `per_device` and `per_class` (accuracy of each), `per_device_macro_accuracy`,
        `per_device_log_loss` and `per_class_log_loss`, `seen_devices` and `unseen_devices` ({`accuracy`,
        `macro_accuracy`, `log_loss`, `clips`}, where there are such clips of a known device), `clips`;
        `intervals`, [low, high] of each figure under its name, and `interval_method`.
    """
    bootstrap = bootstrap or Bootstrap()
    scenes, devices = np.asarray(scenes), np.asarray(devices)
    names, place = np.unique(np.arange(len(scenes)) if recordings is None else recordings, return_inverse=True)
    # Per clip: is it right, what is lost, and that it counts; summed over recordings, by device and by scene.
    terms = np.stack(
        [np.asarray(logits).argmax(axis=1) == scenes, _log_losses(logits, scenes), np.ones(len(scenes))], 1
    )
    there, of_device = np.unique(devices, return_inverse=True)
    cells = np.zeros((len(names), len(there), len(labels), 3))
    np.add.at(cells, (place, of_device, scenes), terms)

    groups = [labels, there, np.isin(there, seen_devices)]
    whole = _figures(cells.sum(axis=0, keepdims=True), *groups)
    figures: dict[str, Any] = _each(whole, lambda values: float(values[0]))
    for group in ("seen_devices", "unseen_devices"):
        chosen = np.isin(devices, seen_devices, invert=group == "unseen_devices") & (devices != "")
        if chosen.any():
            figures[group]["clips"] = int(chosen.sum())
    figures["clips"] = len(scenes)
    if bootstrap.resamples:
        draws = bootstrap.draws(len(names))
        resampled = np.tensordot(draws, cells, axes=1)
        figures["intervals"] = _each(_figures(resampled, *groups), bootstrap.interval)
        figures["interval_method"] = bootstrap.method(len(names))
    return figures


def _figures(cells: np.ndarray, labels: Sequence[str], devices: np.ndarray, seen: np.ndarray) -> dict[str, Any]:
    """All figures of sums [resamples, devices, scenes, (hits, losses, clips)], each [resamples]."""
    known = devices != ""
    seen, unseen = seen & known, ~seen & known
    of_device = {str(d): _three(cells[:, [i]]) for i, d in enumerate(devices) if known[i]}
    accuracy, loss = (ratio(cells[..., k].sum(axis=1), cells[..., 2].sum(axis=1)) for k in (0, 1))
    occurring = np.flatnonzero(cells[..., 2].sum(axis=(0, 1)))
    return {
        **_three(cells),
        "per_device": {d: three["accuracy"] for d, three in of_device.items()},
        "per_class": {labels[s]: accuracy[:, s] for s in occurring},
        "per_device_macro_accuracy": {d: three["macro_accuracy"] for d, three in of_device.items()},
        "per_device_log_loss": {d: three["log_loss"] for d, three in of_device.items()},
        "per_class_log_loss": {labels[s]: loss[:, s] for s in occurring},
        **({"seen_devices": _three(cells[:, seen])} if seen.any() else {}),
        **({"unseen_devices": _three(cells[:, unseen])} if unseen.any() else {}),
    }


def _three(cells: np.ndarray) -> dict[str, np.ndarray]:
    """The three figures over all devices of `cells`."""
    by_scene = cells.sum(axis=1)
    hits, losses, clips = np.moveaxis(by_scene.sum(axis=1), -1, 0)
    return {
        "accuracy": ratio(hits, clips),
        "macro_accuracy": mean_of_known(ratio(by_scene[..., 0], by_scene[..., 2])),
        "log_loss": ratio(losses, clips),
    }


def _each(figures: dict[str, Any], make: Any) -> dict[str, Any]:
    """`make` of each array in nested dictionaries."""
    return {key: _each(v, make) if isinstance(v, dict) else make(v) for key, v in figures.items()}


def _log_losses(logits: np.ndarray, scenes: np.ndarray) -> np.ndarray:
    """-log softmax(logits)[scene] of each clip, in nats: float64 [clips]."""
    logits = np.asarray(logits, np.float64)
    shifted = logits - logits.max(axis=1, keepdims=True)
    return np.log(np.exp(shifted).sum(axis=1)) - shifted[np.arange(len(scenes)), scenes]
