"""Which phases an algorithm's training has: the one registry of algorithms."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras

from keras_mtl.algorithms.freeze import FreezeMTL
from keras_mtl.algorithms.multitask_model import MultitaskModel
from keras_mtl.algorithms.single import SingleTask
from keras_mtl.algorithms.soft import SoftMTL
from keras_mtl.recipes.settings import TrainSettings


@dataclass(frozen=True)
class Phase:
    """One phase of a training.

    Attributes:
        name: names its log and checkpoints.
        tasks: the tasks whose batches it needs.
        epochs: passes over the longer of its streams.
        learning_rate: peak of the schedule.
        wrap: puts the algorithm around a network; takes `MultitaskModel`'s keyword arguments.
    """

    name: str
    tasks: tuple[str, ...]
    epochs: int
    learning_rate: float
    wrap: Callable[..., MultitaskModel]


def _single(train: TrainSettings) -> list[Phase]:
    return [_phase(SingleTask, train.task, train.epochs, train.learning_rate)]


def _soft(train: TrainSettings) -> list[Phase]:
    def wrap(network: keras.Model, **kwargs: Any) -> MultitaskModel:
        return SoftMTL(network, alpha=train.alpha, **kwargs)

    return [Phase("both", ("scenes", "events"), train.epochs, train.learning_rate, wrap)]


def _freeze_sed_asc(train: TrainSettings) -> list[Phase]:
    second_rate = train.second_learning_rate or train.learning_rate
    return [
        _phase(SingleTask, "events", train.epochs, train.learning_rate),
        _phase(FreezeMTL, "scenes", train.second_epochs, second_rate),
    ]


def _phase(algorithm: type[SingleTask] | type[FreezeMTL], task: str, epochs: int, learning_rate: float) -> Phase:
    def wrap(network: keras.Model, **kwargs: Any) -> MultitaskModel:
        return algorithm(network, task=task, **kwargs)

    return Phase(task, (task,), epochs, learning_rate, wrap)


#: Every training algorithm by its id.
ALGORITHMS: dict[str, Callable[[TrainSettings], list[Phase]]] = {
    "single": _single,
    "soft": _soft,
    "freeze_sed_asc": _freeze_sed_asc,
}
