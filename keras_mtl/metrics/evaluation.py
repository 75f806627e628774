"""The evaluation stage: a predictor and a corpus in, the figures of its tasks out."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from keras_mtl.core import DataError, LogMelSettings
from keras_mtl.datasets import Corpus
from keras_mtl.decoding import Grid
from keras_mtl.features import FrontEnd, LogMel, event_set, scene_set
from keras_mtl.inference import Predictor
from keras_mtl.metrics.bootstrap import Bootstrap
from keras_mtl.metrics.events import event_metrics
from keras_mtl.metrics.scenes import scene_metrics


def evaluate(
    predictor: Predictor,
    corpus: Corpus,
    cache: Path,
    bootstrap: Bootstrap | None = None,
    front_end: Callable[[LogMelSettings], FrontEnd] = LogMel,
) -> dict[str, Any]:
    """Scores a predictor on the evaluation splits of its tasks: "test" of the scenes, "validation" of the events.

    Args:
        predictor: what is scored.
        corpus: the data.
        cache: where log-mel features are kept.
        bootstrap: how intervals are made; 1000 draws by default. Scene clips are drawn by recording; an event clip is a
            recording.
        front_end: the class that computes log-mel of the clips.

    Returns:
        {"scenes": figures of `scene_metrics`, "events": figures of `event_metrics`}: those for which the predictor has
        the task and the corpus the split.

    Raises:
        DataError: the corpus has no evaluation split for any of the tasks, or other classes.
    """
    figures: dict[str, Any] = {}
    can = scored_tasks(predictor.tasks, corpus)
    predictor.labels.require_same(
        corpus.labels, can, "the network", corpus.name, DataError, "open the data with the network's labels"
    )
    labels = corpus.labels
    if predictor.scene_logits is not None and "scenes" in can:
        clips = scene_set(corpus, "test", predictor.settings, cache, front_end)
        logits = predictor.scene_logits(clips.log_mel)
        figures["scenes"] = scene_metrics(
            logits,
            clips.scenes,
            clips.devices,
            labels.scenes,
            predictor.data.seen_devices,
            clips.recordings,
            bootstrap,
        )
    if predictor.event_probabilities is not None and "events" in can:
        events = event_set(corpus, "validation", predictor.settings, cache, front_end)
        strong, weak = predictor.event_probabilities(events.log_mel)
        grid = Grid.over(predictor.settings, events.log_mel.shape[1], predictor.frames_per_embedding, strong.shape[1])
        figures["events"] = event_metrics(
            strong, weak, events.events, grid, predictor.decoding, labels.events, bootstrap=bootstrap
        )
    if not figures:
        tasks = " or ".join(predictor.tasks)
        raise DataError(f"{corpus.name}: no evaluation split for {tasks}", hint="see docs/data.md")
    return figures


def scored_tasks(tasks: Iterable[str], corpus: Corpus) -> tuple[str, ...]:
    """Those of the tasks that a corpus has the evaluation split of."""
    there = {"scenes": "test" in corpus.scenes, "events": "validation" in corpus.events}
    return tuple(task for task in tasks if there[task])
