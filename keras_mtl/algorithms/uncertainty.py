"""Uncertainty weighting: the tasks' weights are learned with the network (Kendall, Gal and Cipolla 2018)."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from keras_mtl.algorithms.decoders import TASKS
from keras_mtl.algorithms.multitask_model import MultitaskModel


@keras.saving.register_keras_serializable(package="keras_mtl")
class UncertaintyMTL(MultitaskModel):
    """L = sum_i exp(-s_i) L_i + s_i / 2, with s_i = log sigma_i^2 learned, on one batch of each task.

    This is the paper's equation 10 for two classifications, L / sigma^2 + log sigma each: both our losses are
    cross-entropies. For a fixed L_i the least value is at s_i = log(2 L_i), where the task weighs 1 / (2 L_i). s starts
    at 0, and is not decayed. Held-out clips are judged by L_asc + L_sed, since L above moves with s.

    Example:
        >>> model = UncertaintyMTL(build_mt(scenes=10, events=10))
        >>> model.compile(optimizer=PartialAdamW(1e-3))
    """

    def __init__(self, network: keras.Model, **kwargs: Any) -> None:
        super().__init__(network, **kwargs)
        self.log_variances = self.add_weight(shape=(len(TASKS),), initializer="zeros", name="log_variances")

    def compile(self, *args: Any, **kwargs: Any) -> None:
        """As Keras's, and takes the log-variances out of the weight decay, which would pull them to 0."""
        super().compile(*args, **kwargs)
        if not self.optimizer.built:
            self.inner_optimizer().exclude_from_weight_decay(var_names=["log_variances"])

    def shown(self) -> list[str]:
        """Names of the metrics besides "loss"."""
        return [*super().shown(), *(f"{task}_log_variance" for task in TASKS)]

    def trained_variables(self) -> list[keras.Variable]:
        """The network's, and the log-variances."""
        return [*super().trained_variables(), self.log_variances]

    def combine(self, losses: dict[str, Any]) -> Any:
        """The sum above."""
        values = ops.stack([losses[task] for task in TASKS])
        return ops.sum(ops.exp(-self.log_variances) * values + 0.5 * self.log_variances)

    def held_out_loss(self, losses: dict[str, Any]) -> Any:
        """L_asc + L_sed."""
        return losses["scenes"] + losses["events"]

    def track(self, values: dict[str, Any]) -> None:
        """Adds the log-variances."""
        super().track(values | {f"{task}_log_variance": self.log_variances[i] for i, task in enumerate(TASKS)})
