"""Mean teacher (Tarvainen and Valpola 2017): the exponential moving average of a student's weights."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

#: Largest decay of the average; the DESED baseline's value.
DECAY = 0.999


def ema_decay(step, largest: float = DECAY):  # type: ignore[no-untyped-def]
    """min(1 - 1 / (step + 1), largest) of step 0, 1, ...: the plain mean at first, then the moving average."""
    return ops.minimum(1.0 - 1.0 / (ops.cast(step, "float32") + 1.0), largest)


def ramp(step, ramp_steps: int):  # type: ignore[no-untyped-def]
    """exp(-5 (1 - t)^2) with t = step / ramp_steps, cut at 1: the weight of the consistency loss as training starts."""
    t = ops.minimum(ops.cast(step, "float32") / float(max(ramp_steps, 1)), 1.0)
    return ops.exp(-5.0 * ops.square(1.0 - t))


class MeanTeacher(keras.layers.Layer):
    """Holds the teacher's layers and moves them towards the student's.

    Batch normalisation's statistics are averaged like every other weight, and the teacher runs in inference mode.

    Args:
        encoder: the student's encoder.
        heads: the student's decoders that the teacher has too, by task. The teacher is a copy of all these.
    """

    def __init__(self, encoder: keras.Model, heads: dict[str, keras.Model]) -> None:
        super().__init__(name="mean_teacher", trainable=False)
        self.tasks = tuple(heads)
        self.copies = [keras.models.clone_model(model) for model in (encoder, *heads.values())]
        for copy, model in zip(self.copies, (encoder, *heads.values()), strict=True):
            copy.set_weights(model.get_weights())
            copy.trainable = False
        self.step = self.add_weight(shape=(), dtype="int32", initializer="zeros", trainable=False, name="step")
        self.built = True

    def embed(self, log_mel: Any) -> Any:
        """The teacher's embeddings, in inference mode, without a gradient."""
        return ops.stop_gradient(self.copies[0](log_mel, training=False))

    def decode(self, task: str, embeddings: Any) -> Any:
        """The output of the teacher's decoder of a task, in inference mode, without a gradient."""
        output = self.copies[1 + self.tasks.index(task)](embeddings, training=False)
        return keras.tree.map_structure(ops.stop_gradient, output)

    def update(self, encoder: keras.Model, heads: dict[str, keras.Model]) -> None:
        """teacher = d * teacher + (1 - d) * student, d by `ema_decay`; then counts the step."""
        decay = ema_decay(self.step)
        for copy, model in zip(self.copies, (encoder, *(heads[task] for task in self.tasks)), strict=True):
            for mine, theirs in zip(copy.weights, model.weights, strict=True):
                if "float" in mine.dtype:
                    mine.assign(decay * mine + (1.0 - decay) * theirs)
        self.step.assign_add(1)
