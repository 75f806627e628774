"""Which phases an algorithm's training has: the one registry of algorithms."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from keras_mtl.algorithms.cross import CrossHardMTL, CrossSoftMTL
from keras_mtl.algorithms.decoders import TASKS
from keras_mtl.algorithms.freeze import FreezeMTL
from keras_mtl.algorithms.frozen_events import FrozenEvents
from keras_mtl.algorithms.gradnorm import GradNormMTL
from keras_mtl.algorithms.hard import HardMTL
from keras_mtl.algorithms.multitask_model import MultitaskModel
from keras_mtl.algorithms.pcgrad import PCGradMTL
from keras_mtl.algorithms.single import SingleTask
from keras_mtl.algorithms.soft import SoftMTL
from keras_mtl.algorithms.uncertainty import UncertaintyMTL
from keras_mtl.recipes import TrainSettings


@dataclass(frozen=True)
class Phase:
    """One phase of a training.

    Attributes:
        name: names its log and checkpoints.
        tasks: the tasks whose batches it needs.
        epochs: passes over the longer of its streams.
        learning_rate: peak of the schedule.
        wrap: puts the algorithm around a network; takes `MultitaskModel`'s keyword arguments.
        embedded: whether the batches hold embeddings of the network's encoder, which is frozen, in place of log-mel.
        turns: whether the tasks take turns, one batch of one task a step; otherwise a step has one of each.
    """

    name: str
    tasks: tuple[str, ...]
    epochs: int
    learning_rate: float
    wrap: Callable[..., MultitaskModel]
    turns: bool = False
    embedded: bool = False


def _single(train: TrainSettings) -> list[Phase]:
    return [_one_task(SingleTask, train.task, train.epochs, train.learning_rate)]


def _freeze(first: str, second: str) -> Callable[[TrainSettings], list[Phase]]:
    def phases(train: TrainSettings) -> list[Phase]:
        second_rate = train.second_learning_rate or train.learning_rate
        return [
            _one_task(SingleTask, first, train.epochs, train.learning_rate),
            _one_task(FreezeMTL, second, train.second_epochs, second_rate),
        ]

    return phases


def _distil_freeze(train: TrainSettings) -> list[Phase]:
    """Beyond the paper: encoder and scene decoder first, with all that a teacher tells; then the event decoder."""
    rate = train.second_learning_rate or train.learning_rate
    events = partial(FrozenEvents, embedding_dropout=train.embedding_dropout, embedding_noise=train.embedding_noise)
    return [
        _one_task(SingleTask, "scenes", train.epochs, train.learning_rate),
        Phase("events", ("events",), train.second_epochs, rate, events, embedded=True),
    ]


def _one_task(algorithm: Callable[..., MultitaskModel], task: str, epochs: int, learning_rate: float) -> Phase:
    return Phase(task, (task,), epochs, learning_rate, partial(algorithm, task=task))


def _both(
    algorithm: Callable[..., MultitaskModel], *settings: str, turns: bool = False
) -> Callable[[TrainSettings], list[Phase]]:
    """One phase on both tasks; `settings` are the recipe's keys that the algorithm takes as arguments."""

    def phases(train: TrainSettings) -> list[Phase]:
        arguments: dict[str, Any] = {name: getattr(train, name) for name in settings}
        return [Phase("both", TASKS, train.epochs, train.learning_rate, partial(algorithm, **arguments), turns)]

    return phases


#: Every training algorithm by its id.
ALGORITHMS: dict[str, Callable[[TrainSettings], list[Phase]]] = {
    "single": _single,
    "soft": _both(SoftMTL, "alpha"),
    "hard": _both(HardMTL, turns=True),
    "cross_soft": _both(CrossSoftMTL, "alpha", "cross_weight"),
    "cross_hard": _both(CrossHardMTL, "cross_weight", turns=True),
    "freeze_sed_asc": _freeze("events", "scenes"),
    "freeze_asc_sed": _freeze("scenes", "events"),
    "distil_freeze": _distil_freeze,
    "uncertainty": _both(UncertaintyMTL),
    "gradnorm": _both(GradNormMTL, "gradnorm_alpha", "gradnorm_rate"),
    "pcgrad": _both(PCGradMTL, "alpha"),
}
