"""One side of `train_step.py`: steps of this project's own training, from its own input pipeline, timed.

    python benchmarks/step_keras.py sed|asc|joint STEPS THREADS

prints {"input", "forward", "teacher", "rest", "step"}: seconds, one number a step. "step" is the whole step without the
input; "forward" and "teacher" are graphs of their own, and "rest" is what is left: backward pass and optimiser.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf
from step_data import EVENT_CLIPS, KINDS, KINDS_OF_STEP, SCENE_BATCH, event_clips, scene_clips

from keras_mtl.algorithms import MultitaskModel, PartialAdamW, SingleTask, SoftMTL
from keras_mtl.core import DCASE, LogMelSettings
from keras_mtl.decoding import Event
from keras_mtl.features import EventSet, SceneSet
from keras_mtl.models import build_mt
from keras_mtl.training import EventStream, SceneStream, Stream, as_dataset, same_bits


def main() -> None:
    """The command."""
    kind, steps, threads = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    tf.config.threading.set_intra_op_parallelism_threads(threads)
    with same_bits():
        model = _model(kind)
        print(json.dumps(_timed(model, kind, steps)))


def _model(kind: str) -> MultitaskModel:
    network = build_mt(scenes=10, events=10)
    tasks = KINDS_OF_STEP[kind]
    model = SoftMTL(network) if len(tasks) > 1 else SingleTask(network, tasks[0])
    optimizer = PartialAdamW(1e-3)
    model.compile(optimizer=optimizer)
    optimizer.build(model.trained_variables())
    return model


def _streams(tasks: tuple[str, ...]) -> dict[str, Stream]:
    settings, streams = LogMelSettings(), dict[str, Stream]()
    if "scenes" in tasks:
        clips = scene_clips()
        words = np.asarray([str(i) for i in range(len(clips["scene"]))])
        scenes = SceneSet(clips["log_mel"], clips["scene"].astype(np.int32), words, words, words)
        streams["scenes"] = SceneStream(scenes, SCENE_BATCH, settings, 0)
    if "events" in tasks:
        found = event_clips()
        events = [[Event(on, off, DCASE.events[which])] for which, on, off in found["events"]]
        names = np.asarray([str(i) for i in range(EVENT_CLIPS)])
        one = EventSet(found["log_mel"], events, np.zeros((EVENT_CLIPS, len(DCASE.events)), np.float32), names)
        streams["events"] = EventStream(dict.fromkeys(KINDS, one), KINDS, settings, DCASE.events, 4, 0)
    return streams


def _timed(model: MultitaskModel, kind: str, steps: int) -> dict[str, list[float]]:
    tasks = KINDS_OF_STEP[kind]
    batches = iter(as_dataset(_streams(tasks), 0, steps + 1))
    step = tf.function(model.train_step)
    forward = tf.function(lambda batch: _student(model, tasks, batch))
    teacher = tf.function(lambda batch: _teacher(model, batch))
    times: dict[str, list[float]] = {name: [] for name in ("input", "forward", "teacher", "rest", "step")}
    for number in range(steps + 1):
        waited, batch = _seconds(lambda: next(batches))
        whole, _ = _seconds(lambda batch=batch: step(batch))
        ahead, _ = _seconds(lambda batch=batch: forward(batch))
        taught, _ = _seconds(lambda batch=batch: teacher(batch)) if model.teacher is not None else (0.0, None)
        if number:  # the first step traces the graphs
            for name, value in zip(times, (waited, ahead, taught, whole - ahead - taught, whole), strict=True):
                times[name].append(value)
    return times


def _student(model: MultitaskModel, tasks: tuple[str, ...], batch: dict[str, Any]) -> list[Any]:
    outputs = []
    for task in tasks:
        clips = model.prepare(task, batch, training=True)[task]
        outputs.append(model.heads[task](model.embed(clips["masked"], True), training=True))
    return outputs


def _teacher(model: MultitaskModel, batch: dict[str, Any]) -> Any:
    assert model.teacher is not None
    outputs = model.teacher.decode("events", model.teacher.embed(batch["events"]["log_mel"]))
    model.teacher.update(model.encoder, model.heads)
    return outputs


def _seconds(run: Callable[[], Any]) -> tuple[float, Any]:
    start = time.perf_counter()
    result = run()
    return time.perf_counter() - start, result


if __name__ == "__main__":
    main()
