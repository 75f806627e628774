"""Fine-tunes a quantization-aware scene part towards the float network that it came from."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf


@keras.saving.register_keras_serializable(package="keras_mtl")
class SelfDistillation(keras.Model):
    """Self-distillation: the float network teaches its quantized twin; its logits are softer than labels.

    With z the logits and e the embeddings, t the float network (teacher) and q the quantized one:

        L = KL(softmax(z_t) || softmax(z_q)) + w_e ||e_q - e_t||^2 / ||e_t||^2 + w_l CE(y, z_q)

    The second term keeps the encoder serving the decoders that are not in this graph: the event head reads the same
    embeddings. Hinton et al. 2015, equation 1, at temperature 1; the relative error of embeddings is this project's.

    Args:
        student: model of `build_qat`, calibrated. Its weights are trained in place.
        teacher: float model from the same input to a dict with "scenes" [batch, scenes] logits and "embeddings"
            [batch, time, size]. It is not trained and not saved.
        embedding_weight: w_e.
        label_weight: w_l; 0 needs no labels.
        **options: options of `keras.Model`.

    Example:
        >>> trainer = SelfDistillation(student, teacher)
        >>> trainer.compile(optimizer="adam", jit_compile=False)
        >>> trainer.fit(log_mel, scenes, epochs=5)
    """

    def __init__(
        self,
        student: keras.Model,
        teacher: keras.Model,
        embedding_weight: float = 1.0,
        label_weight: float = 0.0,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self.embedding_weight, self.label_weight = embedding_weight, label_weight
        self.student = student
        # Not tracked by Keras: its weights are no part of this model, and its `trainable` stays as it is.
        object.__setattr__(self, "_teacher", teacher)
        outputs = {"scenes": student.output, "embeddings": student.get_layer("embeddings").output}
        object.__setattr__(self, "_both", keras.Model(student.input, outputs))
        self._divergence = keras.metrics.Mean(name="divergence")
        self._embedding_error = keras.metrics.Mean(name="embedding_error")
        self._accuracy = keras.metrics.SparseCategoricalAccuracy(name="accuracy")
        self.built = True

    def call(self, inputs: Any, training: Any = None) -> dict[str, Any]:
        """Log-mel [batch, frames, mel_bands, 1] to the student's "scenes" logits and "embeddings"."""
        return self._both(inputs, training=training)

    def compute_loss(
        self, x: Any = None, y: Any = None, y_pred: Any = None, sample_weight: Any = None, training: bool = True
    ) -> Any:
        """The loss above; updates the metrics `divergence`, `embedding_error` and, given labels, `accuracy`."""
        divergence, error = _distance(self._teacher(x, training=False), y_pred)
        self._divergence.update_state(divergence)
        self._embedding_error.update_state(error)
        loss = divergence + self.embedding_weight * error
        if y is not None:
            self._accuracy.update_state(y, y_pred["scenes"])
            if self.label_weight:
                entropy = keras.losses.sparse_categorical_crossentropy(y, y_pred["scenes"], from_logits=True)
                loss += self.label_weight * tf.reduce_mean(entropy)
        return loss

    def distance(self, log_mel: Any) -> dict[str, float]:
        """How far the student is from the teacher on clips [batch, frames, mel_bands, 1].

        Returns:
            `divergence` and `embedding_error` as in the loss, and `agreement`: the share of equal decisions.
        """
        goal, found = self._teacher(log_mel, training=False), self(log_mel, training=False)
        divergence, error = _distance(goal, found)
        same = tf.equal(tf.argmax(goal["scenes"], -1), tf.argmax(found["scenes"], -1))
        agreement = tf.reduce_mean(tf.cast(same, tf.float32))
        return {"agreement": float(agreement), "divergence": float(divergence), "embedding_error": float(error)}


def _distance(goal: dict[str, Any], found: dict[str, Any]) -> tuple[Any, Any]:
    """KL divergence of the scenes, and relative mean square error of the embeddings."""
    taught = tf.nn.log_softmax(tf.stop_gradient(goal["scenes"]))
    learned = tf.nn.log_softmax(found["scenes"])
    divergence = tf.reduce_mean(tf.reduce_sum(tf.exp(taught) * (taught - learned), axis=-1))
    embeddings = tf.stop_gradient(goal["embeddings"])
    error = tf.reduce_mean(tf.square(found["embeddings"] - embeddings))
    return divergence, error / (tf.reduce_mean(tf.square(embeddings)) + keras.config.epsilon())


def teacher_of(network: keras.Model, frames: int = 100) -> keras.Model:
    """The float scene part with its embeddings: log-mel to {"scenes", "embeddings"}. Shares the network's weights."""
    encoder, head = network.get_layer("encoder"), network.get_layer("scene_head")
    inputs = keras.Input((frames, *encoder.input_shape[2:]), name="log_mel")
    embeddings = encoder(inputs)
    return keras.Model(inputs, {"scenes": head(embeddings), "embeddings": embeddings}, name="teacher")
