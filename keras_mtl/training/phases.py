"""Trains one phase from where its last checkpoint is to its end."""

from __future__ import annotations

import contextlib
import math
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import keras
import numpy as np

from keras_mtl.algorithms import (
    Distiller,
    Ensemble,
    MultitaskModel,
    PartialAdamW,
    Phase,
    Replicas,
    TeacherTerms,
    use_precision,
)
from keras_mtl.augmentation import Augmentation
from keras_mtl.core import TrainingError
from keras_mtl.models import frames_per_embedding
from keras_mtl.recipes import Recipe
from keras_mtl.training.batches import Stream, as_dataset, take_turns
from keras_mtl.training.checkpoints import Checkpoints, Progress, SaveCheckpoints
from keras_mtl.training.conflict import ConflictLog
from keras_mtl.training.data import TrainingData
from keras_mtl.training.distribution import require_same, require_whole_parts, same_bits
from keras_mtl.training.logs import Boards, trim_logs


def train_phase(
    phase: Phase,
    network: keras.Model,
    data: TrainingData,
    recipe: Recipe,
    out: Path,
    checkpoints: Checkpoints,
    distiller: Distiller | Ensemble | None,
) -> None:
    """Trains a phase, or what is left of it; then the network has the weights that the phase hands on."""
    if checkpoints.done(phase.name).exists():
        network.load_weights(checkpoints.done(phase.name))
        return
    by_task = data.streams(phase.tasks, recipe, network, phase.embedded)
    streams = take_turns(by_task) if phase.turns else by_task
    steps = max(stream.steps for stream in streams.values())
    model = _compiled(
        phase,
        network,
        recipe,
        steps,
        distiller,
        data.lessons.terms(recipe.train, phase.tasks) if data.lessons else None,
    )
    require_whole_parts(by_task, model.replicas.count)
    progress = checkpoints.progress(phase.name)
    require_same(model.replicas.strategy, progress.step)
    if progress.last:
        model.load_weights(checkpoints.folder / progress.last)
    trim_logs(out, phase.name, progress.epochs, steps, progress.step)
    held_out = data.held_out_streams(phase.tasks, network, phase.embedded)
    validation = as_dataset(held_out, 0, max(s.steps for s in held_out.values())) if held_out else None
    train = recipe.train
    print(f"phase {phase.name}: {phase.epochs} epochs of {steps} steps", file=sys.stderr)
    while progress.epochs < phase.epochs and not progress.waited_enough(train.patience):
        # An epoch that an interrupt cut in two is finished first: Keras wants all epochs of a fit to be of one length.
        rest = -progress.step % steps
        epochs = progress.epochs + 1 if rest else phase.epochs
        conflict = _conflict_log(phase, by_task, recipe, out, steps, progress)
        save = SaveCheckpoints(
            checkpoints, progress, steps, train.checkpoint_steps, train.patience, [log.write for log in conflict]
        )
        with same_bits(), _logged(out / f"{phase.name}.csv", progress.epochs > 0) as log:
            model.fit(
                as_dataset(streams, progress.step, rest or (epochs - progress.epochs) * steps, data.waiting.got_batch),
                epochs=epochs,
                initial_epoch=progress.epochs,
                steps_per_epoch=rest or steps,
                validation_data=validation,
                shuffle=False,  # the streams are in their order already
                verbose=1 if sys.stderr.isatty() else 2,
                callbacks=[
                    data.waiting,
                    StopOnNonFinite(streams, phase.name, steps, progress.step),
                    *conflict,
                    log,
                    Boards(out / "tensorboard" / phase.name, write_graph=False),
                    save,
                ],
            )
        progress = save.progress
    if train.precision != "float32":
        use_precision(network, "float32")
    if model.average is not None:
        network.set_weights(model.kept.get_weights())
    if train.keep == "best" and progress.best:
        network.load_weights(checkpoints.folder / progress.best)
    checkpoints.finish(network, phase.name)


@contextlib.contextmanager
def _logged(path: Path, append: bool) -> Iterator[keras.callbacks.CSVLogger]:
    """Keras's log. stdout belongs to the commands' results, and an interrupt would leave the log open."""
    log = keras.callbacks.CSVLogger(path, append=append)
    with contextlib.redirect_stdout(sys.stderr), contextlib.ExitStack() as at_the_end:
        at_the_end.callback(log.on_train_end)
        yield log


def _conflict_log(
    phase: Phase, streams: dict[str, Stream], recipe: Recipe, out: Path, steps: int, progress: Progress
) -> list[ConflictLog]:
    every = recipe.train.conflict_every
    if not every or len(phase.tasks) < 2:
        return []
    return [ConflictLog(streams, every, out, phase.name, steps, len(streams) if phase.turns else 1, progress.step)]


def _compiled(
    phase: Phase,
    network: keras.Model,
    recipe: Recipe,
    steps: int,
    distiller: Distiller | Ensemble | None,
    terms: TeacherTerms | None,
) -> MultitaskModel:
    train = recipe.train
    total = max(phase.epochs * steps, 1)
    warmup = max(1, round(train.warmup_fraction * total))
    # A network for scenes alone has no grid of embeddings, and needs none.
    stride = frames_per_embedding(network) if "events" in phase.tasks else 1
    with Replicas.of(network).scope():
        model = phase.wrap(
            network,
            consistency_weight=train.consistency_weight,
            ramp_steps=warmup,
            mask_fraction=train.mask_fraction,
            mask_period=max(1, round(recipe.features.frame_rate)),
            distiller=distiller,
            encoder_rate=train.encoder_rate,
            seed=train.seed,
            augment=Augmentation.of(
                recipe.augment,
                recipe.features.frame_rate,
                stride,
                len(recipe.labels.scenes),
                train.seed,
                recipe.features.std_db,
            )
            if not phase.embedded
            else None,
            terms=terms,
            average=train.average,
        )
        rate = keras.optimizers.schedules.CosineDecay(
            0.0, max(total - warmup, 1), warmup_target=phase.learning_rate, warmup_steps=warmup
        )
        optimizer = PartialAdamW(rate, weight_decay=train.weight_decay, beta_1=0.9, beta_2=0.999)
        if train.precision == "mixed_float16":
            optimizer = keras.optimizers.LossScaleOptimizer(optimizer)
        # XLA makes a step on a CPU almost twice as long.
        model.compile(optimizer=optimizer, jit_compile=train.jit_compile)
        optimizer.build(model.trained_variables())
    if train.precision != "float32":  # only now: the mean teacher is a copy, and stays float32
        use_precision(network, train.precision)
    return model


#: Which task a metric belongs to, by how its name begins.
_OF_TASK = {"scene": "scenes", "cross_events": "scenes", "strong_bce": "events", "weak_bce": "events"}
_OF_TASK |= {"consistency": "events", "cross_scenes": "events", "event": "events"}


class StopOnNonFinite(keras.callbacks.Callback):
    """Looks at every step's metrics; they are running means, and so go bad in the step in which a loss does.

    The clips of a step are a function of its number: their names are looked up when they are needed, and cost nothing
    before.

    Args:
        streams: the training's streams by task.
        phase: the phase's name, for the message.
        steps: steps of an epoch.
        done: steps done before; the first epoch may have been begun.
    """

    def __init__(self, streams: Mapping[str, Stream], phase: str, steps: int, done: int = 0) -> None:
        super().__init__()
        self._streams, self._phase, self._steps, self._done = streams, phase, steps, done
        self._first = done

    def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Remembers where the training is."""
        self._first = max(epoch * self._steps, self._done)

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
        """Checks the step.

        Raises:
            TrainingError: naming the step, the losses and the batch's clips; those with non-finite features alone,
                where there are such.
        """
        bad = [name for name, value in (logs or {}).items() if not math.isfinite(value)]
        if bad:
            raise self._error(self._first + batch, bad)

    def _error(self, step: int, bad: list[str]) -> TrainingError:
        tasks = {task for name in bad for start, task in _OF_TASK.items() if name.startswith(start)}
        names: list[str] = []
        broken: list[str] = []
        for task, stream in self._streams.items():
            if task in tasks or not tasks:
                log_mel = stream(step)["log_mel"]
                fine = np.isfinite(log_mel).all(axis=tuple(range(1, log_mel.ndim)))
                names += stream.filenames(step)
                broken += [name for name, ok in zip(stream.filenames(step), fine, strict=True) if not ok]
        where = f"step {step} of phase {self._phase}: {', '.join(bad)} not finite"
        if broken:
            return TrainingError(f"{where}; the features of {', '.join(broken)} are not", hint="leave these clips out")
        hint = "a lower learning_rate, or look at these clips; --resume goes on from the last checkpoint"
        return TrainingError(f"{where} on the batch of {', '.join(names)}", hint=hint)
