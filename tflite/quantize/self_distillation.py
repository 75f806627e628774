"""Fine-tunes a quantization-aware twin, with any of its decoders, towards the float network that it came from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
import tensorflow as tf

from keras_mtl.tflite.qat import EMBEDDINGS, is_one_graph

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
        L = L_scenes + L_events + w_e ||e_q - e_t||^2 / ||e_t||^2

    The last term keeps the encoder serving a decoder that is not in the twin. Hinton et al. 2015, equation 1, at
    temperature 1, with Bernoulli distributions for events; the relative error of embeddings is this project's.

    Args:
        student: model of `build_qat`, calibrated. Its weights are trained in place.
        teacher: the float network that the student was made of. It is not trained and not saved.
        embedding_weight: w_e.
        **options: options of `keras.Model`.

    Example:
        >>> trainer = SelfDistillation(student, network)
        >>> trainer.compile(optimizer="adam", jit_compile=False)
        >>> trainer.fit(batches_of_scenes_and_events, epochs=2)
    """

    def __init__(
        self, student: keras.Model, teacher: keras.Model, embedding_weight: float = 1.0, **options: Any
    ) -> None:
        super().__init__(**options)
        self.embedding_weight = embedding_weight
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
        for name, value in self._distances(x, y_pred).items():
            self._means[name].update_state(value)
            total += value * (self.embedding_weight if name.endswith("embedding_error") else 1.0)
        return total

    def distance(self, inputs: Mapping[str, Any]) -> dict[str, float]:
        """How far the student is from the teacher on {task: log-mel}.

        Returns:
            The terms of the loss, and for each task `TASK_agreement`: the share of equal decisions, of clips for the
            scenes, of frames and classes at a threshold of 0.5 for the events.
        """
        return {name: float(value) for name, value in self._measured(inputs).items()}

    @tf.function
    def _measured(self, inputs: Mapping[str, Any]) -> dict[str, Any]:
        found, goal = self(inputs, training=False), self._outputs(self._teacher, inputs, False)
        figures = self._distances(inputs, found)
        if "scenes" in inputs:
            same = tf.equal(tf.argmax(goal["scenes"]["scenes"], -1), tf.argmax(found["scenes"]["scenes"], -1))
            figures["scenes_agreement"] = tf.reduce_mean(tf.cast(same, tf.float32))
        if "events" in inputs:
            same = tf.equal(goal["events"]["strong"] > 0.5, found["events"]["strong"] > 0.5)
            figures["events_agreement"] = tf.reduce_mean(tf.cast(same, tf.float32))
        return figures

    def _distances(self, inputs: Mapping[str, Any], found: Any) -> dict[str, Any]:
        goal = keras.tree.map_structure(tf.stop_gradient, self._outputs(self._teacher, inputs, False))
        distances = {}
        for task, near in found.items():
            measure = scene_divergence if task == "scenes" else event_divergence
            distances[f"{task}_divergence"] = measure(goal[task], near)
            embeddings = goal[task]["embeddings"]
            error = tf.reduce_mean(tf.square(near["embeddings"] - embeddings))
            scale = tf.reduce_mean(tf.square(embeddings)) + keras.config.epsilon()
            distances[f"{task}_embedding_error"] = error / scale
        return distances

    def _outputs(self, network: keras.Model, inputs: Mapping[str, Any], training: Any) -> dict[str, Any]:
        found = {}
        for task, head in self.heads.items():
            if task in inputs:
                embeddings = network.get_layer("encoder")(inputs[task], training=training)
                outputs = network.get_layer(head)(embeddings, training=training)
                outputs = outputs if isinstance(outputs, dict) else {"scenes": outputs}
                found[task] = {**outputs, "embeddings": embeddings}
        return found


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
