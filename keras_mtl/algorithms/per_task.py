"""The base of the algorithms that look at each task's gradient before they put them together."""

from __future__ import annotations

from operator import itemgetter
from typing import Any

import tensorflow as tf

from keras_mtl.algorithms.decoders import TASKS
from keras_mtl.algorithms.multitask_model import MultitaskModel


class PerTaskMTL(MultitaskModel):
    """A step on one batch of each task, with a gradient of its own for each.

    The tasks' data are disjoint: each has its own batch and its own pass through the encoder. So the gradients by task
    cost no more than their sum. What the tasks share are the encoder's trainable variables.
    """

    def merge(self, losses: list[Any], shared: list[list[Any]]) -> tuple[list[Any], list[Any], dict[str, Any]]:
        """What a step does with the tasks' gradients.

        Args:
            losses: a scalar a task, in the order of `TASKS`.
            shared: by task, the gradient of its loss for each of the encoder's variables; for none of a frozen one.

        Returns:
            The encoder's gradients; by task the factor of its decoder's gradient; what is shown.
        """
        raise NotImplementedError

    def update(self, batch: dict[str, Any]) -> None:
        """Gradients by task, then `merge`, then the optimiser."""
        encoder = self.encoder_variables()
        losses: dict[str, Any] = {}
        shown: dict[str, Any] = {}
        shared, own = [], []
        scale = self.loss_scale()
        scaled = not isinstance(scale, float)
        for task in TASKS:
            variables = [*encoder, *self.own_variables(task)]
            _, more, terms, gradients = self.gradients((task,), batch, variables, itemgetter(task))
            gradients = [gradient / scale for gradient in gradients] if scaled else gradients
            losses |= more
            shown |= terms
            shared.append(gradients[: len(encoder)])
            own.append(gradients[len(encoder) :])
        loss = self.combine(losses)
        merged, factors, more = self.merge([losses[task] for task in TASKS], shared)
        for factor, gradients in zip(factors, own, strict=True):
            merged = [*merged, *(factor * gradient for gradient in gradients)]
        merged = [gradient * scale for gradient in merged] if scaled else merged
        self.optimizer.apply(merged, self.trained_variables())
        self.track({"loss": loss, **shown, **more})


def dot(first: list[Any], second: list[Any]) -> Any:
    """The scalar product of two gradients, each a list of tensors; 0 of empty ones."""
    return tf.add_n([tf.reduce_sum(a * b) for a, b in zip(first, second, strict=True)] or [tf.zeros(())])
