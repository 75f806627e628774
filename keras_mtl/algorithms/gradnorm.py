"""GradNorm: task weights under which the tasks train at similar rates (Chen et al. 2018)."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf
from keras import ops

from keras_mtl.algorithms.decoders import TASKS
from keras_mtl.algorithms.per_task import PerTaskMTL, dot
from keras_mtl.algorithms.replicas import CrossReplicaUpdates

#: Weights stay above this: a task of weight 0 or less would not be trained, or against its loss.
LEAST_WEIGHT = 1e-3


@keras.saving.register_keras_serializable(package="keras_mtl")
class GradNormMTL(PerTaskMTL):
    """L = sum_i w_i L_i, with w moved in every step so that the gradients' norms follow the tasks' training rates.

    G_i = |gradient of w_i L_i| over the encoder's weights,  r_i = (L_i / L_i(0)) / mean_j (L_j / L_j(0)),
    L_grad = sum_i |G_i - mean_j(G_j) r_i^gradnorm_alpha|; w follows its gradient, the target taken as a constant,
    and is scaled so that it adds up to the number of tasks.

    The paper takes the last shared layer to save time; here the norm over the whole encoder costs nothing, because
    each task has its own pass. L_i(0) is the loss of the first step. Held-out clips are judged by L_asc + L_sed.

    Args:
        network: functional network with the layers "encoder", "scene_head" and "event_head".
        gradnorm_alpha: how strongly a slower task is pulled; 1.5 in most of the paper's experiments.
        gradnorm_rate: learning rate of w, which Adam updates; the paper's 0.025.
        **kwargs: see `MultitaskModel`.

    Example:
        >>> model = GradNormMTL(build_mt(scenes=10, events=10), gradnorm_alpha=1.5)
        >>> model.compile(optimizer=PartialAdamW(1e-3))
    """

    def __init__(
        self, network: keras.Model, gradnorm_alpha: float = 1.5, gradnorm_rate: float = 0.025, **kwargs: Any
    ) -> None:
        super().__init__(network, **kwargs)
        self.gradnorm_alpha = gradnorm_alpha
        self.gradnorm_rate = gradnorm_rate
        self.balance = TaskBalance(len(TASKS), gradnorm_alpha, gradnorm_rate)

    def shown(self) -> list[str]:
        """Names of the metrics besides "loss"."""
        return [*super().shown(), *(f"{task}_weight" for task in TASKS)]

    def combine(self, losses: dict[str, Any]) -> Any:
        """Sum of w_i L_i, w as the step begins."""
        return ops.sum(self.balance.weights_now() * ops.stack([losses[task] for task in TASKS]))

    def held_out_loss(self, losses: dict[str, Any]) -> Any:
        """L_asc + L_sed."""
        return losses["scenes"] + losses["events"]

    def merge(self, losses: list[Any], shared: list[list[Any]]) -> tuple[list[Any], list[Any], dict[str, Any]]:
        """The weighted sum, by the weights before they move."""
        weights = tf.unstack(self.balance.weights_now())
        merged = [
            tf.add_n([weight * part for weight, part in zip(weights, parts, strict=True)])
            for parts in zip(*shared, strict=True)
        ]
        norms = tf.stack([tf.sqrt(dot(gradient, gradient)) for gradient in shared])
        self.balance.update(tf.stack(losses), norms)
        return merged, weights, {f"{task}_weight": weight for task, weight in zip(TASKS, weights, strict=True)}

    def get_config(self) -> dict[str, Any]:
        """Every constructor argument."""
        return {**super().get_config(), "gradnorm_alpha": self.gradnorm_alpha, "gradnorm_rate": self.gradnorm_rate}


class BalanceAdam(CrossReplicaUpdates, keras.optimizers.Adam):
    """Adam for the tasks' weights."""


class TaskBalance(keras.layers.Layer):
    """The weights w [tasks] of GradNorm and how they move, independent of networks."""

    def __init__(self, tasks: int, alpha: float, rate: float) -> None:
        super().__init__(name="task_balance")
        self.tasks = tasks
        self.alpha = alpha
        self.task_weights = self.add_weight(shape=(tasks,), initializer="ones", trainable=False, name="task_weights")
        self.first_losses = self.add_weight(shape=(tasks,), initializer="zeros", trainable=False, name="first_losses")
        self.optimizer = BalanceAdam(rate)
        self.optimizer.build([self.task_weights])
        self.built = True

    def weights_now(self) -> Any:
        """w as a tensor."""
        return tf.identity(ops.convert_to_tensor(self.task_weights))

    def update(self, losses: Any, norms: Any) -> None:
        """Moves w once.

        Args:
            losses: L_i, [tasks].
            norms: norms of the gradients of L_i (not of w_i L_i) for the shared weights, [tasks].
        """
        is_first = ops.equal(self.optimizer.iterations, 0)
        self.first_losses.assign(ops.where(is_first, losses, self.first_losses))
        self.optimizer.apply([self.gradient(losses, norms)], [self.task_weights])
        positive = ops.maximum(self.task_weights, LEAST_WEIGHT)
        self.task_weights.assign(positive * (self.tasks / ops.sum(positive)))

    def gradient(self, losses: Any, norms: Any) -> Any:
        """Of L_grad for w: sign(w_i |g_i| - target_i) |g_i|, since G_i = w_i |g_i|."""
        weighted = self.task_weights * norms
        ratios = losses / ops.maximum(self.first_losses, keras.config.epsilon())
        rates = ratios / ops.maximum(ops.mean(ratios), keras.config.epsilon())
        target = ops.mean(weighted) * ops.power(rates, self.alpha)
        return ops.sign(weighted - target) * norms
