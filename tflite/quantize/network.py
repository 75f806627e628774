"""Quantizes a network with any of its decoders: build the twin, calibrate it, fine-tune it."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from keras_mtl.tflite.qat import build_qat, calibrate
from keras_mtl.tflite.quantize.self_distillation import SelfDistillation
from keras_mtl.training import same_bits

#: Clips of each task in a batch when nearness is measured.
_BATCHES = {"scenes": 50, "events": 8}


@dataclass(frozen=True)
class Quantized:
    """A quantized network, and how far it is from the float one.

    Attributes:
        model: the quantization-aware model of `build_qat`.
        scheme: "int8" or "int16x8".
        kept: "calibrated" or "fine_tuned": which weights the model has, those nearer to the float network.
        nearness: for "calibrated" and, after epochs, "fine_tuned", on the calibration clips of each task:
            `TASK_agreement` (share of equal decisions), `TASK_divergence` (KL, nats) and `TASK_embedding_error`
            (relative mean square error).
    """

    model: keras.Model
    scheme: str
    kept: str
    nearness: dict[str, dict[str, float]]


def quantize_network(
    network: keras.Model,
    scheme: str,
    calibration: Mapping[str, np.ndarray],
    training: Any = None,
    *,
    cells: str | None = None,
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
        cells: the scheme of the event decoder, "int16x8" by default.
        epochs: passes of fine-tuning; 0 is post-training quantization.
        steps_per_epoch: batches of one pass; needed when `epochs` is not 0.
        learning_rate: Adam's peak; it rises over the first tenth of the steps and falls to 0 by a cosine.
        learning: how ranges outside of the cells change in fine-tuning: "gradient" or "moving_average".
        seed: of everything random.
        callbacks: Keras callbacks of the fit.
        verbose: Keras's progress bar (on stderr): 0, 1 or 2.

    Raises:
        ConversionError: an unknown scheme, cells without the events, a layer without a twin, or calibration clips that
            can't be used.
        ValueError: epochs without training batches.
    """
    if epochs and (training is None or not steps_per_epoch):
        raise ValueError("fine-tuning needs training batches and steps_per_epoch")
    keras.utils.set_random_seed(seed)
    frames = min(clips.shape[1] for clips in calibration.values())
    student = build_qat(network, scheme, list(calibration), cells, frames=frames, learning=learning)
    calibrate(student, calibration)
    trainer = SelfDistillation(student, network)
    nearness = {"calibrated": _nearness(trainer, calibration)}
    kept = "calibrated"
    if epochs:
        before = student.get_weights()
        _fit(trainer, training, epochs, steps_per_epoch or 0, learning_rate, callbacks, verbose)
        nearness["fine_tuned"] = _nearness(trainer, calibration)
        kept = min(nearness, key=lambda stage: _loss(nearness[stage]))
        if kept == "calibrated":
            student.set_weights(before)
    return Quantized(student, scheme, kept, nearness)


def _fit(
    trainer: keras.Model,
    training: Any,
    epochs: int,
    steps_per_epoch: int,
    learning_rate: float,
    callbacks: Sequence[keras.callbacks.Callback],
    verbose: int,
) -> None:
    total = epochs * steps_per_epoch
    warmup = max(1, total // 10)
    rate = keras.optimizers.schedules.CosineDecay(
        0.0, max(total - warmup, 1), warmup_target=learning_rate, warmup_steps=warmup
    )
    # XLA compiles for longer than such a fine-tuning takes on a CPU.
    trainer.compile(optimizer=keras.optimizers.Adam(rate, clipnorm=1.0), jit_compile=False)
    with same_bits(), contextlib.redirect_stdout(sys.stderr):  # stdout belongs to the commands' results
        trainer.fit(
            training,
            epochs=epochs,
            steps_per_epoch=steps_per_epoch,
            callbacks=list(callbacks),
            shuffle=False,
            verbose=verbose,
        )


def _loss(near: Mapping[str, float]) -> float:
    return sum(value for name, value in near.items() if not name.endswith("agreement"))


def _nearness(trainer: SelfDistillation, calibration: Mapping[str, np.ndarray]) -> dict[str, float]:
    figures: dict[str, float] = {}
    for task, clips in calibration.items():
        for start in range(0, len(clips), _BATCHES[task]):
            part = clips[start : start + _BATCHES[task], ..., None]
            for name, value in trainer.distance({task: part}).items():
                figures[name] = figures.get(name, 0.0) + value * len(part) / len(clips)
    return figures
