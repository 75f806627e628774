"""Which training clips are held out, to choose the best epoch and operating points by: a function of a seed alone."""

from __future__ import annotations

import functools
from pathlib import Path

import numpy as np

from keras_mtl.core import LogMelSettings
from keras_mtl.datasets import STRONG, STRONG_MIXED, Corpus
from keras_mtl.features import EventSet, SceneSet, event_set


def hold_out_recordings(
    scenes: SceneSet, fraction: float, seed: int, by_scene: bool = False
) -> tuple[np.ndarray, np.ndarray]:
    """Places of the clips that are kept and held out, by whole recordings: clips of one are too alike to judge by.

    Args:
        scenes: the clips.
        fraction: of the recordings that is held out.
        seed: of the draw.
        by_scene: whether that is the part of each scene's recordings: of few, a draw from all may leave a scene out.
    """
    random = np.random.default_rng((seed, 5))
    groups = [scenes.scenes == each for each in np.unique(scenes.scenes)] if by_scene else [slice(None)]
    names = [np.unique(scenes.recordings[group]) for group in groups]
    chosen = [random.choice(each, round(fraction * len(each)), replace=False) for each in names]
    out = np.isin(scenes.recordings, np.concatenate(chosen))
    return np.flatnonzero(~out), np.flatnonzero(out)


def hold_out_events(
    corpus: Corpus, settings: LogMelSettings, cache: Path, fraction: float, seed: int
) -> tuple[EventSet, EventSet | None]:
    """The strong clips that a training keeps, and those that it holds out; None where it holds out none.

    Held out are the clips of `held_out`, where the data have that split: they are of other sounds than the clips that
    are trained on. Else they are drawn from all strong clips, from mixtures of a soundbank only where there
    are no others.

    Args:
        corpus: the data; of their splits only these are read.
        settings: the features.
        cache: where log-mel features are kept.
        fraction: of the clips that is held out; 0 holds out none.
        seed: of the draw, that of the training.
    """
    strong = [event_set(corpus, split, settings, cache) for split in (*STRONG, STRONG_MIXED) if split in corpus.events]
    joined = functools.reduce(EventSet.join, strong)
    if "held_out" in corpus.events:
        return joined, event_set(corpus, "held_out", settings, cache) if fraction else None
    if len(strong) > 1 and STRONG_MIXED in corpus.events:
        kept, held = _hold_out_clips(functools.reduce(EventSet.join, strong[:-1]), fraction, seed)
        return kept.join(strong[-1]), held
    return _hold_out_clips(joined, fraction, seed)


def _hold_out_clips(events: EventSet, fraction: float, seed: int) -> tuple[EventSet, EventSet | None]:
    order = np.random.default_rng((seed, 6)).permutation(len(events))
    count = round(fraction * len(events))
    if count == 0:
        return events, None
    return events.take(np.sort(order[count:])), events.take(np.sort(order[:count]))
