"""Checkpoints of a training: where it is, and the weights to go on with after an interrupt.

checkpoints/state.json                    how far which phase is, and the names of its two files below
checkpoints/PHASE.last-STEP.weights.h5    everything needed to go on: network, teacher, optimiser, seeds
checkpoints/PHASE.best-STEP.weights.h5    the network at its lowest held-out loss
checkpoints/PHASE.done.weights.h5         the network as the phase handed it on
checkpoints/init.done.weights.h5          the network as it began, where that is another run's; init.json tells of it

A checkpoint is made by the rename of `state.json`: the files that it names have been written under names of their own
before, and those that the last one named are removed after. So an interrupt at any moment leaves the one or the other.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import keras

from keras_mtl.core import files

_END = ".weights.h5"


@dataclass(frozen=True)
class Progress:
    """How far a phase is.

    Attributes:
        phase: its name.
        epochs: epochs done.
        step: steps done; between two epochs' ends it stands within an epoch.
        best_loss: the lowest held-out loss so far (training loss, where nothing is held out); None before the first.
        waited: epochs since then.
        last, best: names of the files; "" where there is none yet.
        metrics: within an epoch, the running means' totals and counts, by metric.
        seconds: time that the training took so far, all its parts and phases together.
    """

    phase: str
    epochs: int = 0
    step: int = 0
    best_loss: float | None = None
    waited: int = 0
    last: str = ""
    best: str = ""
    metrics: dict[str, list[float]] = field(default_factory=dict)
    seconds: float = 0.0

    def waited_enough(self, patience: int) -> bool:
        """Whether early stopping ends the phase here; never with a patience of 0."""
        return 0 < patience <= self.waited


class Checkpoints:
    """The checkpoints of one run; its clock starts as it is made."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        left = [part for name in ("state.json", "init.json") for part in files.left_over(folder, name)]
        for part in [*left, *folder.glob(f".part.*{_END}")]:  # left by a kill
            part.unlink()
        self._before = self._read().get("seconds", 0.0)
        self._started = time.monotonic()

    def seconds(self) -> float:
        """Time of the training up to the checkpoint that it was taken up from, and since."""
        return self._before + time.monotonic() - self._started

    def done(self, phase: str) -> Path:
        """The network's weights at the end of a phase; there when the phase is done."""
        return self.folder / f"{phase}.done{_END}"

    def finish(self, network: keras.Model, phase: str) -> None:
        """Hands the network on to the next phase."""
        self._save(network, self.done(phase))

    def progress(self, phase: str) -> Progress:
        """How far a phase is."""
        state = self._read()
        return Progress(**state) if state.get("phase") == phase else Progress(phase)

    def write(self, model: keras.Model, progress: Progress, is_best: bool = False) -> Progress:
        """Makes a checkpoint, whole or not at all.

        Args:
            model: the algorithm around the network, with its optimiser.
            progress: where it is; the names of the files and the time are set here.
            is_best: whether the network is kept as the best one.

        Returns:
            The progress as it was written.
        """
        progress = replace(progress, last=f"{progress.phase}.last-{progress.step:08d}{_END}")
        self._save(model, self.folder / progress.last)
        if is_best:
            progress = replace(progress, best=f"{progress.phase}.best-{progress.step:08d}{_END}")
            self._save(model.kept, self.folder / progress.best)
        progress = replace(progress, seconds=round(self.seconds(), 3))
        files.write_json(self.folder / "state.json", asdict(progress))
        for kind in ("last", "best"):
            for path in self.folder.glob(f"{progress.phase}.{kind}-*{_END}"):
                if path.name not in (progress.last, progress.best):
                    path.unlink()
        return progress

    def _read(self) -> dict:
        try:
            return json.loads((self.folder / "state.json").read_text())
        except FileNotFoundError:
            return {}

    @staticmethod
    def _save(model: keras.Model, path: Path) -> None:
        temporary = path.with_name(f".part.{path.name}")
        model.save_weights(temporary, overwrite=True)
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        temporary.replace(path)


class SaveCheckpoints(keras.callbacks.Callback):
    """Makes a checkpoint at the end of every epoch, and every so many steps; stops where no epoch was better for long.

    It comes after the callbacks that log, so that what a checkpoint counts as done is in the logs.

    Args:
        checkpoints: where to.
        progress: where the phase is.
        steps: steps of an epoch.
        every: steps from one checkpoint within an epoch to the next; 0 for none.
        patience: epochs without a lower held-out loss after which the training stops; 0 for never.
        before: called before a checkpoint within an epoch: what else has to be on the disk.
    """

    def __init__(
        self,
        checkpoints: Checkpoints,
        progress: Progress,
        steps: int,
        every: int = 0,
        patience: int = 0,
        before: Sequence[Callable[[], None]] = (),
    ) -> None:
        super().__init__()
        self.progress = progress
        self._checkpoints, self._steps, self._every, self._patience = checkpoints, steps, every, patience
        self._before, self._first = before, progress.step

    def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Goes on with the running means of an epoch that was begun before; Keras has just set them to 0."""
        for metric in self.model.metrics:
            for variable, value in zip(metric.variables, self.progress.metrics.get(metric.name, ()), strict=False):
                variable.assign(value)
        self._first = self.progress.step

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
        """Makes a checkpoint within the epoch, where it is time; its end makes its own."""
        step = self._first + batch + 1
        if not self._every or step % self._every or step % self._steps == 0:
            return
        for write in self._before:
            write()
        means = {metric.name: [float(v.numpy()) for v in metric.variables] for metric in self.model.metrics}
        self.progress = self._checkpoints.write(self.model, replace(self.progress, step=step, metrics=means))

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Judges by `val_loss`, or by `loss` where nothing is held out."""
        logs = logs or {}
        loss = float(logs.get("val_loss", logs["loss"]))
        best = self.progress.best_loss
        better = best is None or loss < best
        done = replace(self.progress, epochs=epoch + 1, step=(epoch + 1) * self._steps, metrics={})
        progress = replace(done, best_loss=loss if better else best, waited=0 if better else done.waited + 1)
        self.progress = self._checkpoints.write(self.model, progress, better)
        if self.progress.waited_enough(self._patience):
            self.model.stop_training = True
