"""Measures whether the tasks pull the encoder the same way: the cosine between their gradients during training.

cos = g_asc . g_sed / (|g_asc| |g_sed|), g_task the gradient of the task's loss for the encoder's trainable weights,
taken as one vector; -1 (opposite) to 1 (the same way). It is measured apart from the training's own steps, so that
every algorithm that trains both tasks has it, also one whose tasks take turns, and it changes no bit of the training.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable, Mapping
from operator import itemgetter
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from keras_mtl.algorithms import TASKS, MultitaskModel
from keras_mtl.core import files
from keras_mtl.training.batches import Stream

#: The metric's name in the logs.
COSINE = "gradient_cosine"
#: What follows a phase's name in the name of its log.
SUFFIX = ".conflict.csv"
_COLUMNS = ("step", "epoch", COSINE)

Row = tuple[int, int, float]


def conflict_logs(run: str | Path) -> dict[str, Path]:
    """The logs of a run folder by phase; none where the cosine was not measured."""
    return {path.name.removesuffix(SUFFIX): path for path in sorted(Path(run).glob(f"*{SUFFIX}"))}


def read_conflict(path: Path) -> list[Row]:
    """The rows of a log: step, epoch, cosine; none where the file is not there."""
    if not path.is_file():
        return []
    with path.open(encoding="utf-8", newline="") as file:
        return [(int(row["step"]), int(row["epoch"]), float(row[COSINE])) for row in csv.DictReader(file)]


def write_conflict(path: Path, rows: Iterable[Row]) -> None:
    """Writes a log anew."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(_COLUMNS)
    writer.writerows(rows)
    files.write_text(path, text.getvalue())


def encoder_cosine(model: MultitaskModel, batch: dict[str, Any]) -> tf.Tensor:
    """The cosine on one batch of each task, a scalar; 0 where a gradient vanishes.

    It runs in training mode, as the step does, and so moves statistics and seeds: see `ConflictLog`.
    """
    variables = model.encoder.trainable_variables
    gradients = []
    for task in TASKS:
        *_, found = model.gradients((task,), batch, variables, itemgetter(task))
        gradients.append(tf.concat([tf.reshape(g, [-1]) for g in found], axis=0))
    first, second = gradients
    return tf.math.divide_no_nan(tf.reduce_sum(first * second), tf.norm(first) * tf.norm(second))


class ConflictLog(keras.callbacks.Callback):
    """Logs the cosine every `every` steps, before the step, on the batches that come then.

    PHASE.conflict.csv has a row for each measurement, TensorBoard a curve in tensorboard/PHASE/conflict, and an epoch's
    logs (so PHASE.csv too) the mean as "gradient_cosine", if the callback stands before those that write them.

    Args:
        streams: a stream a task, one batch of each a step; where tasks take turns, those behind `batches.Turns`.
        every: steps from one measurement to the next. One costs about as much as a step.
        out: the run folder.
        phase: the phase's name.
        steps: steps of an epoch.
        turns: steps of the training in which each stream gives one batch.
        done: steps done before; what was logged after them is dropped.
    """

    def __init__(
        self,
        streams: Mapping[str, Stream],
        every: int,
        out: Path,
        phase: str,
        steps: int,
        turns: int = 1,
        done: int = 0,
    ) -> None:
        super().__init__()
        self._streams, self._every, self._steps, self._turns = streams, every, steps, turns
        self._path = out / f"{phase}{SUFFIX}"
        self._board = tf.summary.create_file_writer(str(out / "tensorboard" / phase / "conflict"))
        self._rows = [row for row in read_conflict(self._path) if row[0] < done] if done else []
        self._done, self._epoch, self._first = done, 0, done
        self._measure: tf.types.experimental.PolymorphicFunction | None = None

    def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Remembers where the training is."""
        self._epoch, self._first = epoch, max(epoch * self._steps, self._done)

    def on_train_batch_begin(self, batch: int, logs: dict[str, float] | None = None) -> None:
        """Measures, where it is time."""
        step = self._first + batch
        if step % self._every:
            return
        if self._measure is None:
            self._measure = tf.function(self._cosine)
        clips = {task: self._streams[task](step // self._turns) for task in TASKS}
        parts = (self.model.network, self.model.masking, self.model.augment)
        kept = [(v, v.numpy()) for part in parts for v in part.variables if not v.trainable]
        cosine = float(self._measure(tf.nest.map_structure(tf.constant, clips)))
        for variable, value in kept:
            variable.assign(value)
        self._rows.append((step, self._epoch, cosine))
        with self._board.as_default():
            tf.summary.scalar(COSINE, cosine, step=step)

    def _cosine(self, batches: dict[str, Any]) -> tf.Tensor:
        with self.model.replicas.scope():
            return encoder_cosine(self.model, batches)

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Writes the rows, and adds the epoch's mean to its logs."""
        of_epoch = [cosine for _, of, cosine in self._rows if of == epoch]
        if logs is not None:
            logs[COSINE] = math.fsum(of_epoch) / len(of_epoch) if of_epoch else math.nan
        self.write()

    def write(self) -> None:
        """Writes the rows, and TensorBoard's points."""
        self._board.flush()
        write_conflict(self._path, self._rows)

    def on_train_end(self, logs: dict[str, float] | None = None) -> None:
        """Closes TensorBoard's file."""
        self._board.close()
