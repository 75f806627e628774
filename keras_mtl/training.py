"""The training stage: a recipe and a corpus in, a run folder out."""

from __future__ import annotations

import contextlib
import sys
import time
from dataclasses import replace
from pathlib import Path

import keras

from keras_mtl import files
from keras_mtl.algorithms import ALGORITHMS, Distiller, MultitaskModel, PartialAdamW, Phase
from keras_mtl.augmentation import Augmentation
from keras_mtl.batches import Stream, as_dataset, take_turns
from keras_mtl.checkpoints import Checkpoints, SaveCheckpoints
from keras_mtl.conflict import ConflictLog
from keras_mtl.datasets.corpus import Corpus
from keras_mtl.determinism import same_bits
from keras_mtl.distillation_teacher import Teacher
from keras_mtl.errors import RecipeError, RunError
from keras_mtl.evaluation import evaluate
from keras_mtl.finite_losses import StopOnNonFinite
from keras_mtl.models import build
from keras_mtl.models.timing import frames_per_embedding
from keras_mtl.network_listener import listen_with
from keras_mtl.recipes import Recipe, to_toml
from keras_mtl.run_folder import Run, describe, save_samples
from keras_mtl.systems import system_of
from keras_mtl.training_data import TrainingData, load_training_data, pick_samples


def train(recipe: Recipe, corpus: Corpus, out: str | Path, cache: Path, resume: bool = False) -> Run:
    """Trains a network and writes its run folder.

    Args:
        recipe: the resolved recipe.
        corpus: the data.
        out: the run folder; must not hold anything unless `resume`.
        cache: where log-mel features are kept.
        resume: go on where an interrupted training of the same recipe and data stopped.

    Returns:
        The finished run; `info["metrics"]` holds the figures on the evaluation split.

    Raises:
        RecipeError: an unknown algorithm or system, a system without a decoder for a task of the algorithm, or a
            recipe other than the one to resume.
        RunError: `out` is in use, or the teacher's run is not there.
        FeatureMismatch: the teacher's features are of another kind.
        TrainingError: a loss is no number.
        DataError: the corpus lacks what the algorithm needs.
    """
    out = Path(out)
    phases = _phases(recipe)
    tasks = {task for phase in phases for task in phase.tasks}
    _require_free(out, resume)
    network = _network(recipe)
    teacher = Teacher(recipe, tasks) if recipe.train.teacher else None
    data = load_training_data(recipe, corpus, tasks, cache)
    recipe = replace(recipe, features=data.settings)
    _claim(out, to_toml(recipe), resume)
    distiller = teacher.distiller(data.settings) if teacher else None
    checkpoints = Checkpoints(out / "checkpoints")
    started = time.monotonic()
    for phase in phases:
        _train_phase(phase, network, data, recipe, out, checkpoints, distiller)
    seconds = time.monotonic() - started
    network.save(out / "network.keras")
    save_samples(out, pick_samples(data, corpus, cache))
    info = describe(recipe, data.settings, corpus.name, corpus.fingerprint)
    info["tasks"] = sorted(tasks)
    info["training_seconds"] = round(seconds, 1)
    info["metrics"] = evaluate(listen_with(network, data.settings, recipe.decode, sorted(tasks)), corpus, cache)
    files.write_json(out / "run.json", info)
    return Run.load(out)


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
            f"system {system.id} hears {' and '.join(system.tasks)}, but algorithm {name} trains "
            f"{' and '.join(sorted(needed))}",
            hint=f"--set algorithm=single --set task={task}",
        )
    return phases


def _network(recipe: Recipe) -> keras.Model:
    keras.utils.set_random_seed(recipe.train.seed)
    return build(recipe.model.system, recipe.features, recipe.model.options)


def _require_free(out: Path, resume: bool) -> None:
    if out.exists() and not out.is_dir():
        raise RunError(f"{out} is a file", hint="name a folder to make")
    if not resume and out.is_dir() and any(out.iterdir()):
        raise RunError(f"{out} holds something already", hint="name another folder, or go on with --resume")


def _claim(out: Path, recipe: str, resume: bool) -> None:
    out.mkdir(parents=True, exist_ok=True)
    before = out / "recipe.toml"
    if resume and before.exists() and before.read_text(encoding="utf-8") != recipe:
        raise RecipeError(f"{out} was begun with another recipe or other data", hint=f"compare with {before}")
    files.write_text(before, recipe)


def _train_phase(
    phase: Phase,
    network: keras.Model,
    data: TrainingData,
    recipe: Recipe,
    out: Path,
    checkpoints: Checkpoints,
    distiller: Distiller | None,
) -> None:
    if checkpoints.path(phase.name, "done").exists():
        network.load_weights(checkpoints.path(phase.name, "done"))
        return
    by_task = data.streams(phase.tasks, recipe, network)
    streams = take_turns(by_task) if phase.turns else by_task
    steps = max(stream.steps for stream in streams.values())
    model = _compiled(phase, network, recipe, steps, distiller)
    state = checkpoints.state()
    done, best_loss = 0, float("inf")
    if state.get("phase") == phase.name:
        done, best_loss = state["epochs"], state["best_loss"]
        model.load_weights(checkpoints.path(phase.name, "last"))
    held_out = data.held_out_streams(phase.tasks, network)
    validation = as_dataset(held_out, 0, max(s.steps for s in held_out.values())) if held_out else None
    print(f"phase {phase.name}: {phase.epochs} epochs of {steps} steps", file=sys.stderr)
    log = keras.callbacks.CSVLogger(out / f"{phase.name}.csv", append=done > 0)
    # stdout belongs to the commands' answers, and an interrupt would leave the log open.
    with same_bits(), contextlib.redirect_stdout(sys.stderr), contextlib.ExitStack() as at_the_end:
        at_the_end.callback(log.on_train_end)
        model.fit(
            as_dataset(streams, done * steps, (phase.epochs - done) * steps),
            epochs=phase.epochs,
            initial_epoch=done,
            steps_per_epoch=steps,
            validation_data=validation,
            shuffle=False,  # the streams are in their order already
            verbose=1 if sys.stderr.isatty() else 2,
            callbacks=[
                StopOnNonFinite(streams, phase.name, steps),
                *_conflict_log(phase, by_task, recipe, out, steps, done),
                SaveCheckpoints(checkpoints, phase.name, best_loss),
                log,
                keras.callbacks.TensorBoard(out / "tensorboard" / phase.name, write_graph=False),
            ],
        )
    if recipe.train.keep == "best":
        network.load_weights(checkpoints.path(phase.name, "best"))
    checkpoints.save(network, phase.name, "done")


def _conflict_log(
    phase: Phase, streams: dict[str, Stream], recipe: Recipe, out: Path, steps: int, done: int
) -> list[ConflictLog]:
    every = recipe.train.conflict_every
    if not every or len(phase.tasks) < 2:
        return []
    return [ConflictLog(streams, every, out, phase.name, steps, len(streams) if phase.turns else 1, done)]


def _compiled(
    phase: Phase, network: keras.Model, recipe: Recipe, steps: int, distiller: Distiller | None
) -> MultitaskModel:
    train = recipe.train
    total = max(phase.epochs * steps, 1)
    warmup = max(1, round(train.warmup_fraction * total))
    # A network for scenes alone has no grid of embeddings, and needs none.
    stride = frames_per_embedding(network) if "events" in phase.tasks else 1
    model = phase.wrap(
        network,
        consistency_weight=train.consistency_weight,
        ramp_steps=warmup,
        mask_fraction=train.mask_fraction,
        mask_period=max(1, round(recipe.features.frame_rate)),
        distiller=distiller,
        seed=train.seed,
        augment=Augmentation.of(recipe.augment, recipe.features.frame_rate, stride, train.seed),
    )
    rate = keras.optimizers.schedules.CosineDecay(
        0.0, max(total - warmup, 1), warmup_target=phase.learning_rate, warmup_steps=warmup
    )
    optimizer = PartialAdamW(rate, weight_decay=train.weight_decay, beta_1=0.9, beta_2=0.999)
    # XLA makes a step on a CPU almost twice as long.
    model.compile(optimizer=optimizer, jit_compile=False)
    optimizer.build(model.trained_variables())
    return model
