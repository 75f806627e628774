"""The evaluation stage: a listener and a corpus in, the figures of its tasks out."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from keras_mtl.core import DataError
from keras_mtl.datasets import Corpus
from keras_mtl.decoding import Grid
from keras_mtl.features import event_set, scene_set
from keras_mtl.inference import Listener
from keras_mtl.metrics.bootstrap import Bootstrap
from keras_mtl.metrics.events import event_metrics
from keras_mtl.metrics.scenes import scene_metrics


def evaluate(listener: Listener, corpus: Corpus, cache: Path, bootstrap: Bootstrap | None = None) -> dict[str, Any]:
    """Scores a listener on the evaluation splits of its tasks: "test" of the scenes, "validation" of the events.

    Args:
        listener: what is scored.
        corpus: the data.
        cache: where log-mel features are kept.
        bootstrap: how intervals are made; 1000 draws by default. Scene clips are drawn by recording; an event clip is a
            recording.

    Returns:
        {"scenes": figures of `scene_metrics`, "events": figures of `event_metrics`}: those for which the listener has
        the task and the corpus the split.

    Raises:
        DataError: the corpus has no evaluation split for any of the tasks.
    """
    figures: dict[str, Any] = {}
    can = scored_tasks(listener.tasks, corpus)
    if listener.scene_logits is not None and "scenes" in can:
        clips = scene_set(corpus, "test", listener.settings, cache)
        logits = listener.scene_logits(clips.levels)
        figures["scenes"] = scene_metrics(logits, clips.scenes, clips.devices, clips.recordings, bootstrap=bootstrap)
    if listener.event_probabilities is not None and "events" in can:
        events = event_set(corpus, "validation", listener.settings, cache)
        strong, weak = listener.event_probabilities(events.levels)
        grid = Grid.over(listener.settings, events.levels.shape[1], listener.frames_per_embedding, strong.shape[1])
        figures["events"] = event_metrics(strong, weak, events.events, grid, listener.decoding, bootstrap=bootstrap)
    if not figures:
        tasks = " or ".join(listener.tasks)
        raise DataError(f"{corpus.name}: no evaluation split for {tasks}", hint="see docs/data.md")
    return figures


def scored_tasks(tasks: Iterable[str], corpus: Corpus) -> tuple[str, ...]:
    """Those of the tasks that a corpus has the evaluation split of."""
    there = {"scenes": "test" in corpus.scenes, "events": "validation" in corpus.events}
    return tuple(task for task in tasks if there[task])
