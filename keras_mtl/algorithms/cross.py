"""CrossMTL: each decoder also learns on the other task's clips, from the mean teacher (Surkov 2024, figure 5 c)."""

from __future__ import annotations

from typing import Any

import keras

from keras_mtl.algorithms.decoders import TASKS
from keras_mtl.algorithms.hard import HardMTL
from keras_mtl.algorithms.losses import cross_loss, fold_pieces
from keras_mtl.algorithms.multitask_model import MultitaskModel
from keras_mtl.algorithms.soft import SoftMTL

_CROSS = "cross_"


class CrossTerms(MultitaskModel):
    """What CrossSoftMTL and CrossHardMTL have in common; a mix-in before one of the two-task algorithms.

    On the scene batch:  C_sed = MSE(student's strong, teacher's strong) + MSE(student's weak, teacher's weak)
    On the event batch:  C_asc = MSE(softmax(student's logits), softmax(teacher's logits))
    L = L of the algorithm + cross_weight * (the C of the batches in this step)

    The teacher is the moving average of the encoder and of both decoders. Its input is whole clips, the student's is
    masked ones. The scene decoder takes an event clip in pieces of one second, as many embeddings as a scene clip has.

    Args:
        network: functional network with the layers "encoder", "scene_head" and "event_head".
        cross_weight: as above; the paper adds the terms as they are.
        **kwargs: see the algorithm.
    """

    def __init__(self, network: keras.Model, cross_weight: float = 1.0, **kwargs: Any) -> None:
        super().__init__(network, **kwargs)
        self.cross_weight = cross_weight

    def shown(self) -> list[str]:
        """Names of the metrics besides "loss"."""
        return [*super().shown(), *(_CROSS + task for task in TASKS)]

    def teacher_tasks(self) -> tuple[str, ...]:
        """The teacher has both decoders."""
        return TASKS

    def uses_teacher(self, task: str) -> bool:
        """On the clips of both tasks."""
        return True

    def combine(self, losses: dict[str, Any]) -> Any:
        """The algorithm's loss, and the cross terms that this step has."""
        own = {name: loss for name, loss in losses.items() if not name.startswith(_CROSS)}
        cross = [loss for name, loss in losses.items() if name.startswith(_CROSS)]
        return super().combine(own) + self.cross_weight * sum(cross)

    def further_losses(
        self, task: str, batch: dict[str, Any], student: Any, teacher: Any
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """The cross term of the decoder that has no labels on this batch."""
        assert self.teacher is not None
        other = next(name for name in TASKS if name != task)
        if other == "scenes":
            length = self.encoder.compute_output_shape(tuple(batch["scenes"]["log_mel"].shape))[1]
            student, teacher = fold_pieces(student, length), fold_pieces(teacher, length)
        output = self.heads[other](student, training=True)
        loss = cross_loss(other, output, self.teacher.decode(other, teacher))
        return {_CROSS + other: loss}, {_CROSS + other: loss}

    def get_config(self) -> dict[str, Any]:
        """Every constructor argument."""
        return {**super().get_config(), "cross_weight": self.cross_weight}


@keras.saving.register_keras_serializable(package="keras_mtl")
class CrossSoftMTL(CrossTerms, SoftMTL):
    """L = alpha * L_asc + (1 - alpha) * L_sed + cross_weight * (C_asc + C_sed), on one batch of each task.

    Example:
        >>> model = CrossSoftMTL(build_mt(scenes=10, events=10), alpha=0.5)
        >>> model.compile(optimizer=PartialAdamW(1e-3))
    """


@keras.saving.register_keras_serializable(package="keras_mtl")
class CrossHardMTL(CrossTerms, HardMTL):
    """Even steps: L_asc + cross_weight * C_sed on a scene batch. Odd ones: L_sed + cross_weight * C_asc, event batch.

    Every step updates the encoder and both decoders: one by labels, the other one by the teacher.

    Example:
        >>> model = CrossHardMTL(build_mt(scenes=10, events=10))
        >>> model.compile(optimizer=PartialAdamW(1e-3))
    """

    def variables_of(self, task: str) -> list[keras.Variable]:
        """The other decoder, too: none is idle."""
        other = next(name for name in TASKS if name != task)
        return [*super().variables_of(task), *self.heads[other].trainable_variables]
