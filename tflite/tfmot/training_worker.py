"""Quantizes a described scene part with tfmot: the worker of `quantize`, in a process of its own.

Importing tfmot turns `tf.keras` into the old Keras for the whole process.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

from keras_mtl.core import ConversionError, LogMelSettings, files
from keras_mtl.features import SceneSet
from keras_mtl.tflite.tfmot.files import GRAPH_INPUT, GRAPH_OUTPUT, load_twin, save_twin
from keras_mtl.tflite.tfmot.twin import build_float, build_quantized, calibrate, get_weights, set_weights
from keras_mtl.training import SceneStream, as_dataset, same_bits

#: What the float twin may differ by from the network, relative to the largest logit.
_TOLERANCE = 1e-4
_BATCH = 50
_EPSILON = 1e-7


def work(request: dict[str, Any]) -> dict[str, Any]:
    """Builds the twin, checks it against the network, calibrates and fine-tunes it.

    Args:
        request: `network` (path of a file of `files`, with float weights), `samples` (an npz: `calibration`
            float32 [n, frames, mel_bands] and the network's `logits` for it), `epochs`, `learning_rate`, `seed`,
            `weights`, `graph` and `log` (paths to write); with epochs also `log_mel` (an npy: float16 dB
            [clips, frames, mel_bands]), `scenes` (an npy), `batch` and `features`.

    Returns:
        `kept` and `nearness`, as of `keras_mtl.tflite.quantize.Quantized`, and `twin_difference`: the largest
        difference between a logit of the float twin and the network's.
    """
    tf_keras.utils.set_random_seed(request["seed"])
    document, weights = load_twin(request["network"])
    with np.load(request["samples"]) as arrays:
        calibration, logits = arrays["calibration"], arrays["logits"]
    teacher, student = build_float(document, weights), build_quantized(document, weights)
    twin_difference = _require_twin(teacher, calibration, logits)
    calibrate(student, calibration)
    near = {"calibrated": nearness(student, teacher, calibration)}
    kept, before = "calibrated", get_weights(student)
    if request["epochs"]:
        batches, steps = _batches(request)
        rows = list(fine_tune(student, teacher, batches, request["epochs"], steps, request["learning_rate"]))
        _write_log(Path(request["log"]), rows)
        near["fine_tuned"] = nearness(student, teacher, calibration)
        kept = min(near, key=lambda stage: near[stage]["scenes_divergence"] + near[stage]["scenes_embedding_error"])
        if kept == "calibrated":
            set_weights(student, before)
    save_twin(request["weights"], document, get_weights(student))
    files.write_bytes(Path(request["graph"]), _graph(student))
    return {"kept": kept, "nearness": near, "twin_difference": twin_difference}


def _require_twin(teacher: tf_keras.Model, clips: np.ndarray, logits: np.ndarray) -> float:
    found = teacher.predict(clips[..., None], batch_size=50, verbose=0)["scenes"]
    difference = float(np.abs(found - logits).max())
    if not difference <= _TOLERANCE * max(1.0, float(np.abs(logits).max())):
        raise ConversionError(f"the twin for tfmot gives other logits than the network: {difference:g} apart")
    return difference


def _batches(request: Mapping[str, Any]) -> tuple[Iterator[Any], int]:
    """The batches that the native engine would see, and how many a pass takes."""
    scenes, nothing = np.load(request["scenes"]), np.zeros(0)
    clips = SceneSet(np.load(request["log_mel"], mmap_mode="r"), scenes, nothing, nothing, nothing)
    stream = SceneStream(clips, request["batch"], LogMelSettings.from_dict(request["features"]), request["seed"])
    read = as_dataset({"scenes": stream}, 0, request["epochs"] * stream.steps)
    return (batch["scenes"]["log_mel"] for batch in read), stream.steps


def _write_log(path: Path, rows: list[dict[str, float]]) -> None:
    written = io.StringIO()
    table = csv.writer(written, lineterminator="\n")
    table.writerow(["epoch", *rows[0]])
    table.writerows([number, *row.values()] for number, row in enumerate(rows))
    files.write_text(path, written.getvalue())


def _graph(model: tf_keras.Model) -> bytes:
    """The forward pass with its weights as constants, which any process with TensorFlow can run."""

    @tf.function
    def forward(log_mel: Any) -> Any:
        return tf.identity(model(log_mel, training=False)["scenes"], name=GRAPH_OUTPUT.removesuffix(":0"))

    signature = tf.TensorSpec((None, *model.input_shape[1:]), tf.float32, name=GRAPH_INPUT.removesuffix(":0"))
    frozen = convert_variables_to_constants_v2(forward.get_concrete_function(signature))
    return frozen.graph.as_graph_def().SerializeToString(deterministic=True)


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
    """Self-distillation as of `keras_mtl.tflite.quantize.network`, with Adam; trains the student in place.

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
