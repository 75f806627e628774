"""Quantizes the scene part of a network: build the twin, calibrate it, fine-tune it."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from keras_mtl.determinism import same_bits
from keras_mtl.tflite.calibration import calibrate
from keras_mtl.tflite.qat_model import build_qat
from keras_mtl.tflite.self_distillation import SelfDistillation, teacher_of

_BATCH = 50


@dataclass(frozen=True)
class Quantized:
    """A quantized network, and how far it is from the float one.

    Attributes:
        model: the quantization-aware model: normalised log-mel [batch, frames, mel_bands, 1] to logits.
        scheme: "int8" or "int16x8".
        kept: "calibrated" or "fine_tuned": which weights the model has, those nearer to the float network.
        nearness: for "calibrated" and, after epochs, "fine_tuned", on the calibration clips: `agreement` (share of
            equal decisions), `divergence` (KL, nats) and `embedding_error` (relative mean square error).
    """

    model: keras.Model
    scheme: str
    kept: str
    nearness: dict[str, dict[str, float]]


def quantize(
    network: keras.Model,
    scheme: str,
    calibration: np.ndarray,
    training: Any = None,
    *,
    epochs: int = 0,
    steps_per_epoch: int | None = None,
    learning_rate: float = 1e-4,
    learning: str = "gradient",
    label_weight: float = 0.0,
    seed: int = 0,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    verbose: int = 0,
) -> Quantized:
    """Quantizes the scene part of a network. The network itself is not changed.

    Args:
        network: float network with the layers "encoder" and "scene_head".
        scheme: "int8" or "int16x8".
        calibration: normalised log-mel of some 100 to 200 training clips, float32 [n, frames, mel_bands].
        training: batches (log-mel [b, frames, mel_bands, 1], scenes [b]) in any form that `fit` takes.
        epochs: passes of fine-tuning; 0 is post-training quantization.
        steps_per_epoch: batches of one pass; needed when `epochs` is not 0.
        learning_rate: Adam's peak; it rises over the first tenth of the steps and falls to 0 by a cosine.
        learning: how ranges change in fine-tuning: "gradient" or "moving_average".
        label_weight: weight of the cross-entropy with the labels beside the distillation.
        seed: of everything random.
        callbacks: Keras callbacks of the fit.
        verbose: Keras's progress bar (on stderr): 0, 1 or 2.

    Raises:
        ConversionError: an unknown scheme, a layer without a twin, or calibration clips that can't be used.
        ValueError: epochs without training batches.
    """
    if epochs and (training is None or not steps_per_epoch):
        raise ValueError("fine-tuning needs training batches and steps_per_epoch")
    keras.utils.set_random_seed(seed)
    student = build_qat(network, scheme, calibration.shape[1], learning=learning)
    calibrate(student, calibration)
    trainer = SelfDistillation(student, teacher_of(network, calibration.shape[1]), label_weight=label_weight)
    nearness = {"calibrated": _nearness(trainer, calibration)}
    if not epochs:
        return Quantized(student, scheme, "calibrated", nearness)
    before = student.get_weights()
    fit(trainer, training, epochs, steps_per_epoch or 0, learning_rate, callbacks, verbose)
    nearness["fine_tuned"] = _nearness(trainer, calibration)
    losses = {stage: near["divergence"] + near["embedding_error"] for stage, near in nearness.items()}
    kept = min(losses, key=lambda stage: losses[stage])
    if kept == "calibrated" and not label_weight:
        student.set_weights(before)
        return Quantized(student, scheme, kept, nearness)
    return Quantized(student, scheme, "fine_tuned", nearness)


def fit(
    trainer: keras.Model,
    training: Any,
    epochs: int,
    steps_per_epoch: int,
    learning_rate: float,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    verbose: int = 0,
) -> None:
    """Fine-tunes: Adam, the rate rising over the first tenth of the steps and falling to 0 by a cosine."""
    total = epochs * steps_per_epoch
    warmup = max(1, total // 10)
    rate = keras.optimizers.schedules.CosineDecay(
        0.0, max(total - warmup, 1), warmup_target=learning_rate, warmup_steps=warmup
    )
    # XLA compiles for longer than such a fine-tuning takes on a CPU.
    trainer.compile(optimizer=keras.optimizers.Adam(rate, clipnorm=1.0), jit_compile=False)
    with same_bits(), contextlib.redirect_stdout(sys.stderr):  # stdout belongs to the commands' answers
        trainer.fit(
            training,
            epochs=epochs,
            steps_per_epoch=steps_per_epoch,
            callbacks=list(callbacks),
            shuffle=False,
            verbose=verbose,
        )


def _nearness(trainer: SelfDistillation, clips: np.ndarray) -> dict[str, float]:
    totals = {"agreement": 0.0, "divergence": 0.0, "embedding_error": 0.0}
    for start in range(0, len(clips), _BATCH):
        part = clips[start : start + _BATCH, ..., None]
        for name, value in trainer.distance(part).items():
            totals[name] += float(value) * len(part) / len(clips)
    return totals
