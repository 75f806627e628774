"""The preparation of a data folder ahead of trainings: clips at the features' rate, and their log-mel."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from keras_mtl.core import DataError, Labels, LogMelSettings
from keras_mtl.datasets import DataSettings, open_corpus
from keras_mtl.datasets.prepare import beam_options, in_processes, with_beam
from keras_mtl.features.cache import open_log_mel
from keras_mtl.recipes import Recipe, system_of

SCHEMA = "keras_mtl.preparation/1"


def prepare(
    data: str, recipes: Sequence[Recipe], cache: Path, jobs: int = 1, beam: str | None = None
) -> dict[str, Any]:
    """Prepares what trainings and evaluations by these recipes read, as far as it is not there yet.

    Args:
        data: as of `open_corpus`.
        recipes: whose features, of the tasks that their systems do.
        cache: the folder that `--cache` of the commands names.
        jobs: processes that work.
        beam: flags of an Apache Beam pipeline that works instead of them, comma-separated.

    Returns:
        The document `keras_mtl.preparation/1`.

    Raises:
        DataError: as of `open_corpus` and `open_log_mel`; or Apache Beam is not installed.
    """
    options = beam_options(beam) if beam is not None else None
    workers = in_processes(jobs) if options is None else with_beam(options)
    began, rows, fingerprint = time.monotonic(), [], ""
    listed: set[tuple[str, str, float, LogMelSettings]] = set()
    for (settings, data_settings, labels), tasks in _wanted(recipes).items():
        corpus = open_corpus(
            data,
            cache / "tfds",
            sample_rate_hz=settings.sample_rate_hz,
            workers=workers,
            beam=options,
            settings=data_settings,
            labels=labels,
        )
        fingerprint = corpus.fingerprint
        for task, splits in (("scenes", corpus.scenes), ("events", corpus.events)):
            for clips in splits.values() if task in tasks else ():
                key = corpus.key_of(clips)
                split = (key, clips.name, clips.clip_s, settings)
                if split in listed:  # the parts of the scenes have all other splits in common
                    continue
                listed.add(split)
                opened = open_log_mel(clips, key, settings, cache, workers)
                seconds = round(clips.count * clips.clip_s, 3)
                row: dict[str, Any] = {"name": clips.name, "clips": clips.count, "seconds": seconds}
                rows.append(
                    row | {"shards": opened.shards, "computed": opened.computed, "features": settings.to_dict()}
                )
    if not rows:
        raise DataError(f"{data} has no clips for the tasks of these recipes", hint="see docs/data.md")
    wall_s = round(time.monotonic() - began, 3)
    return {
        "schema": SCHEMA,
        "data": data,
        "fingerprint": fingerprint,
        "cache": str(cache),
        "splits": rows,
        "wall_s": wall_s,
    }


def _wanted(recipes: Sequence[Recipe]) -> dict[tuple[LogMelSettings, DataSettings, Labels], set[str]]:
    """The tasks for which each kind of features is wanted, of each kind of clips."""
    wanted: dict[tuple[LogMelSettings, DataSettings, Labels], set[str]] = {}
    for recipe in recipes:
        tasks = wanted.setdefault((recipe.features.normalised(0.0, 1.0), recipe.data, recipe.labels), set())
        tasks.update(system_of(recipe.model.system).tasks)
    return wanted
