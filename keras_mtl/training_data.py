"""What a training reads: the sets it needs, the clips held out, the normalisation and the streams of batches."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from keras_mtl.batches import EventStream, SceneStream, Stream
from keras_mtl.datasets.corpus import Corpus
from keras_mtl.errors import DataError
from keras_mtl.feature_sets import EventSet, SceneSet, event_set, level_statistics, scene_set
from keras_mtl.features import LogMelSettings
from keras_mtl.impulse_copies import ImpulseCopies, impulse_copies
from keras_mtl.recipes import Recipe
from keras_mtl.run_folder import Samples

_HELD_OUT_BATCH = {"scenes": 64, "events": 16}
_CALIBRATION_CLIPS = 200
_GOLDEN_CLIPS = 100


@dataclass(frozen=True)
class TrainingData:
    """The sets of a training.

    Attributes:
        settings: the features with the normalisation of these data.
        scenes, held_out_scenes: scene clips; None where the corpus or the algorithm has no scenes.
        events, held_out_events: event clips by kind ("strong", "weak", "unlabelled"), and strong clips held out.
        scene_copies: copies of `scenes` with impulse responses of devices; None where the recipe has none.
    """

    settings: LogMelSettings
    scenes: SceneSet | None
    held_out_scenes: SceneSet | None
    events: dict[str, EventSet]
    held_out_events: EventSet | None
    scene_copies: ImpulseCopies | None = None

    def streams(self, tasks: tuple[str, ...], recipe: Recipe, frames_per_embedding: int) -> dict[str, Stream]:
        """The training streams of these tasks."""
        train = recipe.train
        found: dict[str, Stream] = {}
        if "scenes" in tasks and self.scenes is not None:
            found["scenes"] = SceneStream(self.scenes, train.scene_batch, self.settings, train.seed, self.scene_copies)
        if "events" in tasks:
            batches = {"strong": train.strong_batch, "weak": train.weak_batch, "unlabelled": train.unlabelled_batch}
            found["events"] = EventStream(self.events, batches, self.settings, frames_per_embedding, train.seed)
        return found

    def held_out_streams(self, tasks: tuple[str, ...], frames_per_embedding: int) -> dict[str, Stream]:
        """The held-out streams of these tasks; empty where nothing is held out for one of them."""
        found: dict[str, Stream] = {}
        if "scenes" in tasks and self.held_out_scenes is not None:
            batch = min(_HELD_OUT_BATCH["scenes"], len(self.held_out_scenes))
            found["scenes"] = SceneStream(self.held_out_scenes, batch, self.settings, 0)
        if "events" in tasks and self.held_out_events is not None:
            batch = min(_HELD_OUT_BATCH["events"], len(self.held_out_events))
            kinds = {"strong": self.held_out_events, "weak": self.held_out_events}
            batches = {"strong": batch, "weak": batch}
            found["events"] = EventStream(kinds, batches, self.settings, frames_per_embedding, 0)
        return found if len(found) == len(tasks) else {}


def load_training_data(recipe: Recipe, corpus: Corpus, tasks: set[str], cache: Path) -> TrainingData:
    """Reads the sets that these tasks need, holds clips out and measures the normalisation.

    The scalar normalisation is that of the training clips of all the tasks' sets; a recipe that sets `std_db` to other
    than 1 keeps its own.

    Raises:
        DataError: the corpus lacks what a task needs.
    """
    train, settings = recipe.train, recipe.features
    scenes = held_scenes = held_events = copies = None
    kinds: dict[str, EventSet] = {}
    if "scenes" in tasks:
        everything = scene_set(corpus, "train", settings, cache)
        kept, held = _hold_out_recordings(everything, train.validation_fraction, train.seed)
        scenes, held_scenes = (everything.take(kept), everything.take(held)) if len(held) else (everything, None)
        copies = impulse_copies(corpus, "train", everything, settings, cache, recipe.augment, train.seed)
        copies = copies.take(kept) if copies is not None else None
    if "events" in tasks:
        strong = [
            event_set(corpus, s, settings, cache) for s in ("strong_real", "strong_synthetic") if s in corpus.events
        ]
        if not strong:
            raise DataError(f"{corpus.name}: no strongly labelled event clips", hint="see docs/data.md for the folders")
        joined = strong[0] if len(strong) == 1 else strong[0].join(strong[1])
        kinds["strong"], held_events = _hold_out_clips(joined, train.validation_fraction, train.seed)
        for kind in ("weak", "unlabelled"):
            if kind in corpus.events:
                kinds[kind] = event_set(corpus, kind, settings, cache)
    if settings.std_db == 1.0:
        arrays = [kinds[k].levels for k in kinds] + ([scenes.levels] if scenes is not None else [])
        settings = settings.normalised(*(round(v, 3) for v in level_statistics(arrays)))
    return TrainingData(settings, scenes, held_scenes, kinds, held_events, copies)


def scene_samples(data: TrainingData, corpus: Corpus, cache: Path) -> Samples:
    """Scene clips for calibration (training clips) and as golden inputs (evaluation clips), evenly spaced."""
    from keras_mtl.log_mel import normalise

    if data.scenes is None:
        empty = np.zeros((0, data.settings.frame_rate, data.settings.mel_bands), np.float32)
        return Samples(empty, empty)
    split = "test" if "test" in corpus.scenes else "train"
    golden = scene_set(corpus, split, data.settings.normalised(0.0, 1.0), cache)

    def some(scenes: SceneSet, most: int) -> np.ndarray:
        index = np.unique(np.linspace(0, len(scenes) - 1, most).astype(int))
        return normalise(scenes.levels[index], data.settings)

    return Samples(some(data.scenes, _CALIBRATION_CLIPS), some(golden, _GOLDEN_CLIPS))


def _hold_out_recordings(scenes: SceneSet, fraction: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Places of the clips that are kept and held out, by whole recordings: clips of one are too alike to judge by."""
    names = np.unique(scenes.recordings)
    count = round(fraction * len(names))
    chosen = np.random.default_rng((seed, 5)).choice(names, count, replace=False)
    out = np.isin(scenes.recordings, chosen)
    return np.flatnonzero(~out), np.flatnonzero(out)


def _hold_out_clips(events: EventSet, fraction: float, seed: int) -> tuple[EventSet, EventSet | None]:
    order = np.random.default_rng((seed, 6)).permutation(len(events))
    count = round(fraction * len(events))
    if count == 0:
        return events, None
    return events.take(np.sort(order[count:])), events.take(np.sort(order[:count]))
