"""Takes the larger network of another run as a teacher, once it is sure that it hears the same features."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from keras_mtl.algorithms import Distiller, require_decoders
from keras_mtl.core import FeatureMismatch, LogMelSettings, RecipeError
from keras_mtl.recipes import Recipe
from keras_mtl.runs import Run


class Teacher:
    """The run that a recipe names as `train.teacher`, checked.

    Args:
        recipe: the student's recipe.
        tasks: what the student is trained on.

    Raises:
        RunError: no finished run is there.
        FeatureMismatch: its features are of another kind; the message names both systems and every setting.
        RecipeError: it knows none of the student's tasks.
    """

    def __init__(self, recipe: Recipe, tasks: Iterable[str]) -> None:
        self.run = Run.load(Path(recipe.train.teacher).expanduser())
        self.tasks = tuple(sorted(set(self.run.info["tasks"]) & set(tasks)))
        system = self.run.info["system"]
        if not self.tasks:
            raise RecipeError(
                f"teacher {self.run.path} was trained on {', '.join(self.run.info['tasks'])} alone, "
                f"the student learns {', '.join(sorted(tasks))}",
                hint="name a run that was trained on one of the student's tasks",
            )
        # The scalar normalisation is of each one's data, and can be made up for.
        theirs, ours = (settings.normalised(0.0, 1.0) for settings in (self.run.settings, recipe.features))
        if differing := theirs.differences(ours):
            raise FeatureMismatch(
                f"teacher {self.run.path} (system {system}) and student (system {recipe.model.system}) hear other "
                f"features: {', '.join(differing)}",
                hint="train one of them on the other's features",
            )
        self._recipe = recipe
        self._network = self.run.network()
        require_decoders(self._network, self.tasks)

    def distiller(self, student: LogMelSettings) -> Distiller:
        """The loss against this teacher, for features with the student's normalisation."""
        own, train = self.run.settings, self._recipe.train
        return Distiller(
            self._network,
            self.tasks,
            train.distillation_weight,
            train.distillation_temperature,
            scale=student.std_db / own.std_db,
            shift=(student.mean_db - own.mean_db) / own.std_db,
        )
