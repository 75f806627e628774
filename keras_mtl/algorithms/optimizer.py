"""AdamW for trainings in which not every step updates every weight."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import keras
from keras import ops

from keras_mtl.algorithms.replicas import CrossReplicaUpdates


@keras.saving.register_keras_serializable(package="keras_mtl")
class PartialAdamW(CrossReplicaUpdates, keras.optimizers.AdamW):
    """AdamW (Loshchilov and Hutter 2019) whose bias correction counts, for each variable, the updates that it got.

    `apply(gradients, some_of_the_variables)` leaves the others alone: their weights are not decayed, and their moments
    do not move. But Keras's Adam takes the exponent t of the bias correction 1 - beta^t from the number of all steps. A
    decoder that is updated every second step would have t = 2k at its k-th update, and so steps up to 1.4 times too
    large for the first thousand of them. Here t = k. The learning rate's schedule, and with it the decay's
    strength, still go by the number of all steps. Where every step updates everything, this is AdamW to the bit.

    Variables can have a rate of their own, a part of that of the others: see `slow_down`.

    Example:
        >>> optimizer = PartialAdamW(1e-3)
        >>> optimizer.build(encoder_variables + scene_variables + event_variables)
        >>> optimizer.apply(gradients, encoder_variables + scene_variables)
    """

    _slow: frozenset[Any] = frozenset()
    _factor = 1.0

    def slow_down(self, variables: Iterable[keras.Variable], factor: float) -> None:
        """Gives these variables `factor` times the learning rate, in the decay as well. Comes before the first step."""
        self._slow, self._factor = frozenset(self._var_key(variable) for variable in variables), factor

    def build(self, variables: list[keras.Variable]) -> None:
        """Adds the moments and, for each variable, the count of its updates."""
        if self.built:
            return
        super().build(variables)
        self._updates = self.add_variable((len(variables),), initializer="zeros", dtype="int32", name="updates")

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        """Adam's step, with its bias correction f(t) replaced by f(k); it is linear in the learning rate."""
        all_steps = self._correction(self.iterations)
        own = self._correction(self._updates[self._get_variable_index(variable)])
        rate = ops.cast(learning_rate, "float32") * (own / all_steps)
        super().update_step(gradient, variable, rate * self._factor if self._is_slow(variable) else rate)

    def _is_slow(self, variable: Any) -> bool:
        return bool(self._slow) and self._var_key(variable) in self._slow

    def _apply_weight_decay(self, variables: list[Any]) -> None:
        """The decay goes by the learning rate, and so is slower for the variables with a slower rate."""
        super()._apply_weight_decay([variable for variable in variables if not self._is_slow(variable)])
        decay = self.weight_decay  # type: ignore[has-type]
        if self._slow and decay is not None:
            self.weight_decay = decay * self._factor
            super()._apply_weight_decay([variable for variable in variables if self._is_slow(variable)])
            self.weight_decay = decay

    def apply(self, grads: list[Any], trainable_variables: list[keras.Variable] | None = None) -> None:
        """Updates these variables; the others keep every bit, of their moments too."""
        super().apply(grads, trainable_variables)
        variables = self._trainable_variables if trainable_variables is None else trainable_variables
        got = {self._get_variable_index(v) for v, g in zip(variables, grads, strict=True) if g is not None}
        self._updates.assign_add([int(index in got) for index in range(len(self._trainable_variables))])

    def _correction(self, done: Any) -> Any:
        """sqrt(1 - beta_2^t) / (1 - beta_1^t) with t = done + 1."""
        t = ops.cast(done, "float32") + 1.0
        return ops.sqrt(1.0 - ops.power(self.beta_2, t)) / (1.0 - ops.power(self.beta_1, t))
