"""What a teacher from outside says of the scene clips of a training, as the batches and the loss need it."""

from __future__ import annotations

from dataclasses import dataclass

from keras_mtl.algorithms import TEACHER_EMBEDDING, TEACHER_SCENES, TEACHER_TAGS, TeacherTerms
from keras_mtl.recipes import TrainSettings
from keras_mtl.training.batches import Taught


@dataclass(frozen=True)
class Lessons:
    """A teacher's targets.

    Attributes:
        scenes: of the clips that have a scene, those varied as waveforms behind the plain ones.
        pool: of the clips that have none; None where there are none.
    """

    scenes: Taught
    pool: Taught | None = None

    def terms(self, train: TrainSettings) -> TeacherTerms:
        """What the targets add to the scenes' loss."""
        sizes = {key: values.shape[-1] for key, values in self.scenes.targets.items()}
        return TeacherTerms(
            sizes.get(TEACHER_EMBEDDING, 0),
            sizes.get(TEACHER_TAGS, 0),
            train.distillation_weight if TEACHER_SCENES in sizes else 0.0,
            train.distillation_temperature,
            train.embedding_weight,
            train.tag_weight,
        )
