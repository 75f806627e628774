"""Data-parallel training: one step, whose forward and backward passes are shared out over replicas."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf

#: A part of a batch to what is differentiated, and to what else is of interest: scalars in any structure.
LossOf = Callable[[dict[str, Any]], tuple[Any, Any]]


class Replicas:
    """The replicas that a network's variables lie on; without a strategy, one.

    A step runs once, in the strategy's cross-replica context: augmentation, masks, counters, the optimiser and the mean
    teacher run once, and so do not depend on their number. Only `gradients` runs on all of them.
    Replica r of R gets the clips r, r + R, r + 2R, ... of the whole batch, and its loss is scaled so that the mean over
    replicas is the loss of the whole batch.

    Args:
        strategy: of `tf.distribute`, or None.
    """

    def __init__(self, strategy: tf.distribute.Strategy | None = None) -> None:
        self.strategy = strategy

    @classmethod
    def of(cls, network: keras.Model) -> Replicas:
        """Those of the strategy under whose scope a network was built."""
        value = network.weights[0].value
        return cls(value.distribute_strategy if isinstance(value, tf.distribute.DistributedValues) else None)

    @property
    def count(self) -> int:
        """How many there are."""
        return self.strategy.num_replicas_in_sync if self.strategy else 1

    def scope(self) -> contextlib.AbstractContextManager[Any]:
        """The strategy's scope."""
        return self.strategy.scope() if self.strategy else contextlib.nullcontext()

    def gradients(
        self, loss_of: LossOf, variables: list[keras.Variable], batch: dict[str, Any]
    ) -> tuple[Any, list[Any]]:
        """What `loss_of` gives beside the loss, and the loss's gradient, both of the whole batch.

        Args:
            loss_of: of a part of the batch; its mean over the parts must be the loss of the whole.
            variables: for which the gradient is taken.
            batch: by task, tensors [clips, ...]; scalars go to every replica.
        """

        def run(part: dict[str, Any]) -> tuple[Any, list[Any]]:
            with tf.GradientTape() as tape:
                loss, shown = loss_of(part)
            return shown, tape.gradient(loss, [variable.value for variable in variables])

        def run_replica(whole: dict[str, Any]) -> tuple[Any, list[Any]]:
            replica = tf.distribute.get_replica_context().replica_id_in_sync_group
            return run(tf.nest.map_structure(lambda values: self._part(values, replica), whole))

        if self.strategy is None:
            return run(batch)
        batch = tf.nest.map_structure(tf.convert_to_tensor, batch)
        found = self.strategy.run(run_replica, args=(batch,))
        return keras.tree.map_structure(lambda each: self.strategy.reduce("MEAN", each, axis=None), found)

    def _part(self, values: tf.Tensor, replica: Any) -> tf.Tensor:
        if values.shape.rank == 0:
            return values
        clips = values.shape[0]
        rows = -1 if clips is None else clips // self.count
        return tf.reshape(values, (rows, self.count, *values.shape[1:]))[:, replica]


class CrossReplicaUpdates:
    """Lets a Keras optimiser be applied in a strategy's cross-replica context, to gradients of the whole batch.

    Keras's own expects to be called on every replica, and to add the replicas' gradients up. A mix-in, to stand before
    the optimiser.
    """

    def _backend_update_step(self, grads: list[Any], trainable_variables: list[Any], learning_rate: Any) -> None:
        if not tf.distribute.in_cross_replica_context():
            super()._backend_update_step(grads, trainable_variables, learning_rate)  # type: ignore[misc]
            return
        values = [getattr(variable, "value", variable) for variable in trainable_variables]
        self._distributed_tf_update_step(  # type: ignore[attr-defined]
            tf.distribute.get_strategy(), list(zip(grads, values, strict=True)), learning_rate
        )

    def _apply_weight_decay(self, variables: list[Any]) -> None:
        if not tf.distribute.in_cross_replica_context():
            super()._apply_weight_decay(variables)  # type: ignore[misc]
        elif self.weight_decay is not None:  # type: ignore[attr-defined]
            for variable in variables:
                if self._use_weight_decay(variable):  # type: ignore[attr-defined]
                    rate = tf.cast(self.learning_rate, variable.dtype)  # type: ignore[attr-defined]
                    variable.assign(variable - variable * self.weight_decay * rate)  # type: ignore[attr-defined]


class StepMean(keras.metrics.Mean):
    """A mean that a step updates once: Keras's would want every replica to update a part of its own."""

    def add_variable(
        self, shape: Any, initializer: Any, dtype: Any = None, aggregation: str = "none", name: str | None = None
    ) -> keras.Variable:
        """As Keras's, but one value for all replicas."""
        variable = keras.Variable(
            initializer=keras.initializers.get(initializer), shape=shape, dtype=dtype, trainable=False, name=name
        )
        self._tracker.add_to_store("variables", variable)
        return variable


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
            tasks: whose batches are used.
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
