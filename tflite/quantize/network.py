"""Quantizes a network with any of its decoders: build the twin, calibrate it, fine-tune it."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_mtl.tflite.qat import EMBEDDINGS, build_qat, calibrate, is_one_graph
from keras_mtl.training import same_bits

#: Clips of each task in a batch when nearness is measured.
_BATCHES = {"scenes": 50, "events": 8}
#: Probabilities are kept this far from 0 and 1 before a logarithm.
_EDGE = 1e-6
#: The decoder of each task.
_HEADS = {"scenes": "scene_head", "events": "event_head"}


@keras.saving.register_keras_serializable(package="keras_mtl")
class SelfDistillation(keras.Model):
    """Self-distillation: the float network t teaches its quantized twin q; its outputs are softer than labels.

    On clips of scenes, with z the logits; on clips of events, with p the probabilities of frames (strong) and of the
    clip (weak); on both, with e the embeddings:

        L_scenes = KL(softmax(z_t) || softmax(z_q))
        L_events = sum_c KL(p_t || p_q), mean over frames, + the same of the clip
        L = L_scenes + L_events + ||e_q - e_t||^2 / ||e_t||^2

    The last term keeps the encoder serving a decoder that is not in the twin. Hinton et al. 2015, equation 1, at
    temperature 1, with Bernoulli distributions for events; the relative error of embeddings is this project's.

    Args:
        student: model of `build_qat`, calibrated. Its weights are trained in place.
        teacher: the float network that the student was made of. It is not trained and not saved.
        **options: options of `keras.Model`.

    Example:
        >>> trainer = SelfDistillation(student, network)
        >>> trainer.compile(optimizer="adam", jit_compile=False)
        >>> trainer.fit(batches_of_scenes_and_events, epochs=2)
    """

    def __init__(self, student: keras.Model, teacher: keras.Model, **options: Any) -> None:
        super().__init__(**options)
        self.student = student
        names, graph = {layer.name for layer in student.layers}, None
        if is_one_graph(student):
            names = {_HEADS["scenes"]}
            graph = keras.Model(
                student.input, {"scenes": student.output, "embeddings": student.get_layer(EMBEDDINGS).output}
            )
        self.heads = {task: head for task, head in _HEADS.items() if head in names}
        # Not tracked by Keras: the teacher's weights are no part of this model, and its `trainable` stays as it is.
        object.__setattr__(self, "_teacher", teacher)
        object.__setattr__(self, "_graph", graph)
        self._means = {
            name: keras.metrics.Mean(name=name)
            for task in self.heads
            for name in (f"{task}_divergence", f"{task}_embedding_error")
        }
        self.built = True

    def call(self, inputs: Mapping[str, Any], training: Any = None) -> dict[str, Any]:
        """{task: log-mel [batch, frames, mel_bands, 1]} to {task: outputs of the student's encoder and decoder}."""
        if self._graph is not None:
            return {"scenes": self._graph(inputs["scenes"], training=training)}
        return self._outputs(self.student, inputs, training)

    def compute_loss(
        self, x: Any = None, y: Any = None, y_pred: Any = None, sample_weight: Any = None, training: bool = True
    ) -> Any:
        """The loss above; updates the metrics `TASK_divergence` and `TASK_embedding_error`."""
        total = 0.0
        goal = keras.tree.map_structure(tf.stop_gradient, self._outputs(self._teacher, x, False))
        for name, value in _distances(goal, y_pred).items():
            self._means[name].update_state(value)
            total += value
        return total

    def distance(self, inputs: Mapping[str, Any]) -> dict[str, float]:
        """How far the student is from the teacher on {task: log-mel}.

        Returns:
            The terms of the loss, and for each task `TASK_agreement`: the share of equal decisions, of clips for the
            scenes, of frames and classes at a threshold of 0.5 for the events.
        """
        any_number = {task: tf.TensorSpec((None, *clips.shape[1:]), tf.float32) for task, clips in inputs.items()}
        measured = self._measured.get_concrete_function(any_number)
        return {name: float(value) for name, value in measured(inputs).items()}

    @tf.function(autograph=False)
    def _measured(self, inputs: Mapping[str, Any]) -> dict[str, Any]:
        found, goal = self(inputs, training=False), self._outputs(self._teacher, inputs, False)
        figures = _distances(goal, found)
        if "scenes" in inputs:
            same = tf.equal(tf.argmax(goal["scenes"]["scenes"], -1), tf.argmax(found["scenes"]["scenes"], -1))
            figures["scenes_agreement"] = tf.reduce_mean(tf.cast(same, tf.float32))
        if "events" in inputs:
            same = tf.equal(goal["events"]["strong"] > 0.5, found["events"]["strong"] > 0.5)
            figures["events_agreement"] = tf.reduce_mean(tf.cast(same, tf.float32))
        return figures

    def _outputs(self, network: keras.Model, inputs: Mapping[str, Any], training: Any) -> dict[str, Any]:
        found = {}
        for task, head in self.heads.items():
            if task in inputs:
                embeddings = network.get_layer("encoder")(inputs[task], training=training)
                outputs = network.get_layer(head)(embeddings, training=training)
                outputs = outputs if isinstance(outputs, dict) else {"scenes": outputs}
                found[task] = {**outputs, "embeddings": embeddings}
        return found


def _distances(goal: Mapping[str, Any], found: Mapping[str, Any]) -> dict[str, Any]:
    distances = {}
    for task, near in found.items():
        measure = scene_divergence if task == "scenes" else event_divergence
        distances[f"{task}_divergence"] = measure(goal[task], near)
        embeddings = goal[task]["embeddings"]
        error = tf.reduce_mean(tf.square(near["embeddings"] - embeddings))
        scale = tf.reduce_mean(tf.square(embeddings)) + keras.config.epsilon()
        distances[f"{task}_embedding_error"] = error / scale
    return distances


def scene_divergence(goal: Mapping[str, Any], found: Mapping[str, Any]) -> Any:
    """KL divergence of scene decisions, from logits [batch, scenes] under "scenes"; in nats."""
    taught, learned = tf.nn.log_softmax(goal["scenes"]), tf.nn.log_softmax(found["scenes"])
    return tf.reduce_mean(tf.reduce_sum(tf.exp(taught) * (taught - learned), axis=-1))


def event_divergence(goal: Mapping[str, Any], found: Mapping[str, Any]) -> Any:
    """KL divergence of event probabilities, summed over classes: mean over "strong" frames, plus "weak"; in nats."""
    total = 0.0
    for name in ("strong", "weak"):
        p, q = (tf.clip_by_value(values[name], _EDGE, 1.0 - _EDGE) for values in (goal, found))
        each = p * (tf.math.log(p) - tf.math.log(q)) + (1.0 - p) * (tf.math.log1p(-p) - tf.math.log1p(-q))
        total += tf.reduce_mean(tf.reduce_sum(each, axis=-1))
    return total


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
