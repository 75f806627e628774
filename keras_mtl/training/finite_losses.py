"""Stops a training whose loss is no number, with the names of the recordings that it was made of."""

from __future__ import annotations

import math
from collections.abc import Mapping

import keras
import numpy as np

from keras_mtl.core import TrainingError
from keras_mtl.training.batches import Stream

#: Which task a metric speaks of, by how its name begins.
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
        speaking = {task for name in bad for start, task in _OF_TASK.items() if name.startswith(start)}
        names: list[str] = []
        broken: list[str] = []
        for task, stream in self._streams.items():
            if task in speaking or not speaking:
                levels = stream(step)["log_mel"]
                fine = np.isfinite(levels).all(axis=tuple(range(1, levels.ndim)))
                names += stream.filenames(step)
                broken += [name for name, ok in zip(stream.filenames(step), fine, strict=True) if not ok]
        where = f"step {step} of phase {self._phase}: {', '.join(bad)} not finite"
        if broken:
            return TrainingError(f"{where}; the features of {', '.join(broken)} are not", hint="leave these clips out")
        hint = "a lower learning_rate, or look at these clips; --resume goes on from the last checkpoint"
        return TrainingError(f"{where} on the batch of {', '.join(names)}", hint=hint)
