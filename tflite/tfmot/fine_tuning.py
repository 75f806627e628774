"""Fine-tunes tfmot's twin towards the float one, by the native engine's loss. For worker processes only."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras

from keras_mtl.training import same_bits

_BATCH = 50
_EPSILON = 1e-7


def nearness(student: tf_keras.Model, teacher: tf_keras.Model, clips: np.ndarray) -> dict[str, float]:
    """How far the student is from the teacher on clips [n, frames, mel_bands].

    Returns:
        `scenes_agreement` (share of equal decisions), `scenes_divergence` (KL, nats) and `scenes_embedding_error`
        (relative mean square error), as of `quantize_network`.
    """
    totals = {"scenes_agreement": 0.0, "scenes_divergence": 0.0, "scenes_embedding_error": 0.0}
    for start in range(0, len(clips), _BATCH):
        part = tf.constant(clips[start : start + _BATCH, ..., None], tf.float32)
        goal, found = teacher(part, training=False), student(part, training=False)
        divergence, error = _distance(goal, found)
        same = tf.equal(tf.argmax(goal["scenes"], -1), tf.argmax(found["scenes"], -1))
        near = {
            "scenes_agreement": tf.reduce_mean(tf.cast(same, tf.float32)),
            "scenes_divergence": divergence,
            "scenes_embedding_error": error,
        }
        for name, value in near.items():
            totals[name] += float(value) * len(part) / len(clips)
    return totals


def fine_tune(
    student: tf_keras.Model,
    teacher: tf_keras.Model,
    batches: Iterable[Any],
    epochs: int,
    steps_per_epoch: int,
    learning_rate: float,
) -> Iterator[dict[str, float]]:
    """Self-distillation as of `keras_mtl.tflite.quantize.self_distillation`, with Adam; trains the student in place.

    Args:
        student: calibrated model of `build_quantized`.
        teacher: model of `build_float`.
        batches: `epochs` x `steps_per_epoch` of log-mel [b, frames, mel_bands, 1].
        epochs: passes.
        steps_per_epoch: batches of a pass.
        learning_rate: peak; it rises over the first tenth of the steps and falls to 0 by a cosine.

    Yields:
        After each pass its means: `loss`, `scenes_divergence` and `scenes_embedding_error`.
    """
    total = epochs * steps_per_epoch
    warmup = max(1, total // 10)
    rate = tf_keras.optimizers.schedules.CosineDecay(
        0.0, max(total - warmup, 1), warmup_target=learning_rate, warmup_steps=warmup
    )
    optimizer = tf_keras.optimizers.Adam(rate, clipnorm=1.0)
    variables = student.trainable_variables

    @tf.function
    def step(log_mel: Any) -> dict[str, Any]:
        goal = teacher(log_mel, training=False)
        with tf.GradientTape() as tape:
            found = student(log_mel, training=True)
            divergence, error = _distance(goal, found)
            loss = divergence + error
        optimizer.apply_gradients(zip(tape.gradient(loss, variables), variables, strict=True))
        return {"loss": loss, "scenes_divergence": divergence, "scenes_embedding_error": error}

    sums: dict[str, float] = {}
    with same_bits():
        for number, log_mel in enumerate(batches, start=1):
            for name, value in step(log_mel).items():
                sums[name] = sums.get(name, 0.0) + float(value)
            if number % steps_per_epoch == 0:
                yield {name: value / steps_per_epoch for name, value in sums.items()}
                sums = {}


def _distance(goal: dict[str, Any], found: dict[str, Any]) -> tuple[Any, Any]:
    """KL divergence of the scenes, and relative mean square error of the embeddings."""
    taught, learned = tf.nn.log_softmax(goal["scenes"]), tf.nn.log_softmax(found["scenes"])
    divergence = tf.reduce_mean(tf.reduce_sum(tf.exp(taught) * (taught - learned), axis=-1))
    error = tf.reduce_mean(tf.square(found["embeddings"] - goal["embeddings"]))
    return divergence, error / (tf.reduce_mean(tf.square(goal["embeddings"])) + _EPSILON)
