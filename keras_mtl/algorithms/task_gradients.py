"""The gradient of a training loss, on all replicas: what every algorithm's step begins with."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from keras_mtl.algorithms.replicas import Replicas


class TaskGradients(keras.Model):
    """Base of `MultitaskModel`, which says what a batch's losses are (`prepare` and `losses_on`).

    Attributes:
        replicas: where the forward and backward passes run.
    """

    replicas: Replicas

    @property
    def distribute_strategy(self) -> tf.distribute.Strategy:
        """What Keras's `fit` is to see: one replica. A step shares its batch out itself, see `Replicas`."""
        return tf.distribute.get_strategy()

    def gradients(
        self, tasks: tuple[str, ...], batch: dict[str, Any], variables: list[keras.Variable], combine: Any
    ) -> tuple[Any, dict[str, Any], dict[str, Any], list[Any]]:
        """A training loss of some tasks and its gradient, on all replicas.

        Args:
            tasks: whose batches are heard.
            batch: the whole batch.
            variables: for which the gradient is taken.
            combine: from the losses by name to the one loss; an affine function, since the replicas' are averaged.

        Returns:
            The loss, the losses by name, what is shown, and `loss_scale` times the gradient.
        """
        for task in tasks:
            batch = self.prepare(task, batch, training=True)

        def loss_of(part: dict[str, Any]) -> tuple[Any, Any]:
            losses: dict[str, Any] = {}
            shown: dict[str, Any] = {}
            for task in tasks:
                more, terms = self.losses_on(task, part, training=True)
                losses, shown = losses | more, shown | terms
            loss = combine(losses)
            scale = self.loss_scale()
            return loss if isinstance(scale, float) else scale * loss, (loss, losses, shown)

        (loss, losses, shown), gradients = self.replicas.gradients(loss_of, variables, batch)
        return loss, losses, shown, gradients

    def loss_scale(self) -> Any:
        """By what `gradients` are larger than those of the loss: 1, or what a `LossScaleOptimizer` wants."""
        optimizer = getattr(self, "optimizer", None)
        return optimizer.dynamic_scale.value if isinstance(optimizer, keras.optimizers.LossScaleOptimizer) else 1.0
