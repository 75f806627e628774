"""Quantizes a network with any of its decoders: build the twin, calibrate it, fine-tune it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np

from keras_mtl.tflite.calibration import calibrate_network
from keras_mtl.tflite.network_distillation import NetworkDistillation
from keras_mtl.tflite.qat_network import build_qat_network
from keras_mtl.tflite.quantize import Quantized, fit

#: Clips of each task that are heard at a time when nearness is measured.
_BATCHES = {"scenes": 48, "events": 8}


def quantize_network(
    network: keras.Model,
    scheme: str,
    calibration: Mapping[str, np.ndarray],
    training: Any = None,
    *,
    cells: str = "int16x8",
    epochs: int = 0,
    steps_per_epoch: int | None = None,
    learning_rate: float = 1e-4,
    learning: str = "gradient",
    seed: int = 0,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    verbose: int = 0,
) -> Quantized:
    """Quantizes a network's encoder with one decoder or both. The network itself is not changed.

    Args:
        network: float network with the layers "encoder" and "scene_head" or "event_head" or both.
        scheme: "int8" or "int16x8", of the encoder and the scene decoder.
        calibration: {task: normalised log-mel of training clips, float32 [n, frames, mel_bands]} for each task that the
            twin is to have a decoder for: "scenes", "events" or both. Some 100 seconds of each.
        training: batches {task: log-mel [b, frames, mel_bands, 1]} in any form that `fit` takes.
        cells: the scheme of the event decoder.
        epochs: passes of fine-tuning; 0 is post-training quantization.
        steps_per_epoch: batches of one pass; needed when `epochs` is not 0.
        learning_rate: Adam's peak.
        learning: how ranges outside of the cells change in fine-tuning: "gradient" or "moving_average".
        seed: of everything random.
        callbacks: Keras callbacks of the fit.
        verbose: Keras's progress bar (on stderr): 0, 1 or 2.

    Returns:
        The twin, and how near it is to the network: for each task `TASK_agreement`, `TASK_divergence` and
        `TASK_embedding_error` on the calibration clips.

    Raises:
        ConversionError: an unknown scheme, a layer without a twin, or calibration clips that can't be used.
        ValueError: epochs without training batches.
    """
    if epochs and (training is None or not steps_per_epoch):
        raise ValueError("fine-tuning needs training batches and steps_per_epoch")
    keras.utils.set_random_seed(seed)
    student = build_qat_network(network, scheme, list(calibration), cells, learning=learning)
    calibrate_network(student, calibration)
    trainer = NetworkDistillation(student, network)
    nearness = {"calibrated": _nearness(trainer, calibration)}
    kept = "calibrated"
    if epochs:
        before = student.get_weights()
        fit(trainer, training, epochs, steps_per_epoch or 0, learning_rate, callbacks, verbose)
        nearness["fine_tuned"] = _nearness(trainer, calibration)
        kept = min(nearness, key=lambda stage: _loss(nearness[stage]))
        if kept == "calibrated":
            student.set_weights(before)
    return Quantized(student, scheme, kept, nearness)


def _loss(near: Mapping[str, float]) -> float:
    return sum(value for name, value in near.items() if not name.endswith("agreement"))


def _nearness(trainer: NetworkDistillation, calibration: Mapping[str, np.ndarray]) -> dict[str, float]:
    figures: dict[str, float] = {}
    for task, clips in calibration.items():
        for start in range(0, len(clips), _BATCHES[task]):
            part = clips[start : start + _BATCHES[task], ..., None]
            for name, value in trainer.distance({task: part}).items():
                figures[name] = figures.get(name, 0.0) + value * len(part) / len(clips)
    return figures
