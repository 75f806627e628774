"""HardMTL: the tasks take turns, each updating its own part of the network (Surkov 2024, figure 5 b)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf
from keras import ops

from keras_mtl.algorithms.decoders import TASKS
from keras_mtl.algorithms.multitask_model import MultitaskModel


@keras.saving.register_keras_serializable(package="keras_mtl")
class HardMTL(MultitaskModel):
    """Even steps: L_asc updates encoder and scene decoder. Odd steps: L_sed updates encoder and event decoder.

    The number of steps done is a saved weight: a resumed training goes on with the other task's turn. The branch is
    chosen in the graph (one trace), and the decoder whose turn it is not keeps every bit: weights, batch statistics,
    the optimiser's moments. A batch has both tasks' entries, of which the other one is not looked at; the streams of a
    training give no clips there (`batches.Turns`). Use `PartialAdamW`, which corrects each decoder's moments by the
    updates that it got. The encoder's moments are shared by both tasks; the mean teacher follows in every step.

    Example:
        >>> model = HardMTL(build_mt(scenes=10, events=10))
        >>> model.compile(optimizer=PartialAdamW(1e-3))
    """

    def variables_of(self, task: str) -> list[keras.Variable]:
        """What the turn of a task updates: the encoder and the task's decoder."""
        return [*self.encoder_variables(), *self.own_variables(task)]

    def update(self, batch: dict[str, Any]) -> None:
        """The turn of one task."""
        if not self.optimizer.built:  # on all variables, not on those of the first turn
            self.optimizer.build(self.trained_variables())
        scenes_turn = ops.equal(self.steps_done % len(TASKS), 0)
        tf.cond(scenes_turn, self._turn("scenes", batch), self._turn("events", batch))

    def _turn(self, task: str, batch: dict[str, Any]) -> Callable[[], Any]:
        def run() -> Any:
            variables = self.variables_of(task)
            loss, _, shown, gradients = self.gradients((task,), batch, variables, self.combine)
            self.optimizer.apply(gradients, variables)
            self.track({"loss": loss, **shown})
            return loss

        return run
