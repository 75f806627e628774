"""The training stage: a recipe and a corpus in, a run folder out."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import keras

from keras_mtl.algorithms import ALGORITHMS, Distiller, Phase, SavedSeeds, ensemble, require_decoders
from keras_mtl.core import LogMelSettings, RecipeError, RunError, files, read_labels
from keras_mtl.datasets import Corpus
from keras_mtl.inference import network_predictor
from keras_mtl.metrics import evaluate, scored_tasks
from keras_mtl.models import build
from keras_mtl.recipes import Recipe, load_recipe, system_of, to_toml
from keras_mtl.runs import Run, describe, require_same_data, save_samples, stamp_data
from keras_mtl.training.checkpoints import Checkpoints
from keras_mtl.training.data import load_training_data, pick_samples, require_tasks
from keras_mtl.training.distribution import is_chief, open_strategy, require_possible, require_same, synchronise
from keras_mtl.training.lessons import open_from_outside
from keras_mtl.training.phases import train_phase
from keras_mtl.training.transfer import Initial, require_same_features

if TYPE_CHECKING:
    from tensorflow.distribute import Strategy

_RECIPE = "recipe.toml"  # the first file of a run: a folder without it is none


def train(recipe: Recipe, corpus: Corpus, out: str | Path, cache: Path, resume: bool = False, workers: int = 0) -> Run:
    """Trains a network and writes its run folder.

    Args:
        recipe: the resolved recipe.
        corpus: the data.
        out: the run folder; must not hold anything unless `resume`.
        cache: where log-mel features are kept.
        resume: go on where an interrupted training of the same recipe and data stopped.
        workers: processes that mix clips anew ahead of the training, where the recipe wants that; the run is the same
            with any number. A script that asks for some has to keep what it does under `if __name__ == "__main__"`.

    Returns:
        The finished run; `info["metrics"]` holds the figures on the evaluation splits that there are.

    Raises:
        RecipeError: an unknown algorithm or system, a system without a decoder for a task of the algorithm, a
            precision, XLA or a strategy with what it can't train, a run to start from with another encoder, or a
            recipe or labels other than those to resume.
        RunError: `out` is in use, what is to be resumed is no training, the run of the teacher or to start from is not
            there, or workers are at different steps.
        FeatureMismatch: the features of the teacher, or of the run to start from, are of another kind.
        TrainingError: a loss is no number.
        DataError: the corpus lacks what the algorithm needs, or is not the one that the run was begun on.
    """
    out = Path(out)
    phases = _phases(recipe)
    require_possible(recipe)
    if resume:
        require_same_data(out, corpus.fingerprint, corpus.parts)
    strategy = open_strategy(recipe.train.strategy)
    if is_chief(strategy):
        _require_free(out, resume)
        _train(recipe, phases, corpus, out, cache, resume, strategy, workers)
        require_same(strategy, 0)
        return Run.load(out)
    with tempfile.TemporaryDirectory() as folder:
        if resume and (out / "checkpoints").is_dir():
            shutil.copytree(out / "checkpoints", Path(folder) / "checkpoints", ignore=shutil.ignore_patterns(".*"))
        _train(recipe, phases, corpus, Path(folder), cache, resume, strategy, workers, writes=False)
        require_same(strategy, 0)  # the chief has written all of the run folder
    return Run.load(out)


def _train(
    recipe: Recipe,
    phases: list[Phase],
    corpus: Corpus,
    out: Path,
    cache: Path,
    resume: bool,
    strategy: Strategy | None,
    workers: int,
    writes: bool = True,
) -> None:
    tasks = {task for phase in phases for task in phase.tasks}
    recipe = replace(recipe, labels=recipe.labels.or_else(corpus.labels).of(system_of(recipe.model.system).tasks))
    recipe.decode.require_classes(recipe.labels.events)
    require_tasks(corpus, tasks)
    network = trained = _network(recipe)
    if strategy:
        with strategy.scope():
            trained = _network(recipe)
        synchronise(trained)
    outside = open_from_outside(recipe, corpus, cache)
    teachers = [] if outside else [RunTeacher(path, recipe, tasks) for path in recipe.train.teachers]
    initial = Initial(recipe, network, out / "checkpoints") if recipe.train.init else None
    if initial:
        recipe = replace(recipe, features=initial.normalised(recipe.features))
    if resume:
        _require_as_begun(out, recipe)  # before the minutes that features may take
    data = load_training_data(recipe, corpus, tasks, cache, workers, outside)
    decode = recipe.decode.resolved(data.medians_s(recipe.labels.events))
    recipe = replace(recipe, features=data.settings, decode=decode)
    if resume:
        _require_as_begun(out, recipe)
    out.mkdir(parents=True, exist_ok=True)
    files.write_text(out / _RECIPE, to_toml(recipe))
    stamp_data(out, corpus)
    with strategy.scope() if strategy else contextlib.nullcontext():
        distiller = ensemble([teacher.distiller(data.settings) for teacher in teachers])
    checkpoints = Checkpoints(out / "checkpoints")
    if initial:
        initial.assign(trained, checkpoints)
    seeds = SavedSeeds(trained)
    fresh = seeds.values()
    with data.feeding():
        for phase in phases:
            # A phase's draws do not depend on the phase before, which a resumed training may not run.
            seeds.assign(fresh)
            train_phase(phase, trained, data, recipe, out, checkpoints, distiller)
    if not writes:
        return
    network.set_weights(trained.get_weights())
    seconds = checkpoints.seconds()
    network.save(out / "network.keras")
    save_samples(out, pick_samples(data, corpus, cache))
    info = describe(recipe, data.settings, corpus.stamp)
    info["tasks"] = sorted(tasks)
    if initial:
        info["init"] = initial.record
    info["training_seconds"] = round(seconds, 1)
    if data.waiting.fraction is not None:
        info["waiting_fraction"] = round(data.waiting.fraction, 4)
    predictor = network_predictor(network, data.settings, recipe.decode, recipe.labels, sorted(tasks), recipe.data)
    info["metrics"] = evaluate(predictor, corpus, cache) if scored_tasks(tasks, corpus) else {}
    files.write_json(out / "run.json", info)


def _phases(recipe: Recipe) -> list[Phase]:
    name = recipe.train.algorithm
    if name not in ALGORITHMS:
        raise RecipeError(f"no algorithm {name!r}", hint=f"algorithms: {', '.join(ALGORITHMS)}")
    phases = ALGORITHMS[name](recipe.train)
    system = system_of(recipe.model.system)
    needed = {task for phase in phases for task in phase.tasks}
    if not needed <= set(system.tasks):
        (task, *_) = system.tasks
        raise RecipeError(
            f"system {system.id} has {' and '.join(system.tasks)}, but algorithm {name} trains "
            f"{' and '.join(sorted(needed))}",
            hint=f"--set algorithm=single --set task={task}",
        )
    return phases


def _network(recipe: Recipe) -> keras.Model:
    keras.utils.set_random_seed(recipe.train.seed)
    frames, features = None, recipe.features
    if system_of(recipe.model.system).fixed_length:
        frames = features.frames(round(recipe.data.scene_clip_s * features.sample_rate_hz))
    return build(recipe.model.system, recipe.labels, features, recipe.model.options, frames)


def _require_free(out: Path, resume: bool) -> None:
    if out.exists() and not out.is_dir():
        raise RunError(f"{out} is a file", hint="name a folder to make")
    if not resume and out.is_dir() and any(out.iterdir()):
        raise RunError(f"{out} holds something already", hint="name another folder, or go on with --resume")
    if resume and not files.is_free(out) and not (out / _RECIPE).is_file():
        raise RunError(f"{out} holds something that no training wrote", hint="name another folder")
    if resume and (out / "run.json").is_file() and Run.load(out).info["stage"] != "float":
        raise RunError(f"{out} is a quantized run, which no training made", hint="name another folder")


def _require_as_begun(out: Path, recipe: Recipe) -> None:
    """Raises where a training was begun by another recipe.

    What is still to be found from the data, the normalisation and median filters, counts for none.
    """
    if not (out / _RECIPE).exists():
        return
    begun, tasks = load_recipe(out / _RECIPE), system_of(recipe.model.system).tasks
    labels = read_labels(begun.labels.to_dict()).of(tasks)
    hint = f"give labels and data as they were then; compare with {out / _RECIPE}"
    labels.require_same(recipe.labels, tasks, f"{out} as it was begun", "this recipe", RecipeError, hint)
    unmeasured = recipe.features.std_db == 1.0
    features = begun.features.normalised(recipe.features.mean_db, 1.0) if unmeasured else begun.features
    found = {label: begun.decode.median_of(label) for label in labels.events}
    recipe = replace(recipe, decode=recipe.decode.resolved(found))
    if replace(begun, name=recipe.name, labels=labels, features=features) != recipe:
        raise RecipeError(f"{out} was begun with another recipe", hint=f"compare with {out / _RECIPE}")


class RunTeacher:
    """A run that a recipe names as `train.teacher`, checked.

    Raises:
        RunError: no finished run is there.
        FeatureMismatch: its features are of another kind; the message names both systems and every setting.
        RecipeError: it has none of the student's tasks, or other labels.
    """

    def __init__(self, path: str, recipe: Recipe, tasks: Iterable[str]) -> None:
        self.run = Run.load(Path(path).expanduser())
        self.tasks = tuple(sorted(set(self.run.info["tasks"]) & set(tasks)))
        if not self.tasks:
            raise RecipeError(
                f"teacher {self.run.path} was trained on {', '.join(self.run.info['tasks'])} alone, "
                f"the student learns {', '.join(sorted(tasks))}",
                hint="name a run that was trained on one of the student's tasks",
            )
        self.run.labels.require_same(
            recipe.labels,
            self.tasks,
            f"teacher {self.run.path}",
            "the student",
            RecipeError,
            "train on one list of labels",
        )
        # The scalar normalisation is of each one's data, and can be made up for.
        require_same_features(self.run, recipe, "teacher", "student")
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
