"""What a training reads: the sets it needs, the clips held out, the normalisation and the streams of batches."""

from __future__ import annotations

import contextlib
import functools
import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import keras
import numpy as np

from keras_mtl.algorithms import ALGORITHMS
from keras_mtl.core import DataError, Labels, LogMelSettings, RecipeError
from keras_mtl.datasets import STRONG, STRONG_MIXED, Corpus
from keras_mtl.datasets.mixing import MixedClips
from keras_mtl.datasets.prepare import Clips
from keras_mtl.decoding import auto_medians
from keras_mtl.features import (
    EventSet,
    Feeder,
    FreshMixtures,
    ImpulseCopies,
    SceneSet,
    event_set,
    impulse_copies,
    log_mel_statistics,
    occurrence,
    scene_set,
    scenes_of,
    varied_scenes,
)
from keras_mtl.metrics import scored_tasks
from keras_mtl.models import embeddings_of, frames_per_embedding
from keras_mtl.recipes import Recipe, TrainSettings
from keras_mtl.runs import Samples
from keras_mtl.teachers import Teacher
from keras_mtl.training.batches import EventStream, SceneStream, Stream, TaughtStream
from keras_mtl.training.embedded import Embedded
from keras_mtl.training.held_out import hold_out_events, hold_out_recordings
from keras_mtl.training.lessons import Lessons, hears, learn, learn_events
from keras_mtl.training.taught import TaughtEvents
from keras_mtl.training.waiting import Waiting

_HELD_OUT_BATCH = {"scenes": 64, "events": 16}
#: Scene clips that a run keeps: so many, or as many as make so many seconds, and at the least so many.
_CALIBRATION_CLIPS, _LEAST_CALIBRATION_CLIPS = 200, 16
_GOLDEN_CLIPS, _LEAST_GOLDEN_CLIPS = 100, 4
_GOLDEN_EVENT_CLIPS = 4
_log = logging.getLogger("keras_mtl")


@dataclass(frozen=True)
class TrainingData:
    """The sets of a training.

    Attributes:
        settings: the features with the normalisation of these data.
        scenes, held_out_scenes: scene clips; None where the corpus or the algorithm has no scenes.
        events, held_out_events: event clips by kind ("strong", "weak", "unlabelled"), and strong clips held out.
        labels: the classes.
        scene_copies: copies of `scenes` with impulse responses of devices; None where the recipe has none.
        varied: versions of `scenes` varied as waveforms, which are trained on beside them; None where there are none.
        pool: clips without a scene, for a teacher from outside; None where there are none.
        lessons: what such a teacher says of `scenes` and `varied`, and of `pool`; None without one.
        cache: where embeddings of event clips are kept, and what the data are named there.
        waiting: measures how long the training waits for batches.
    """

    settings: LogMelSettings
    scenes: SceneSet | None
    held_out_scenes: SceneSet | None
    events: dict[str, EventSet]
    held_out_events: EventSet | None
    labels: Labels
    scene_copies: ImpulseCopies | None = None
    varied: SceneSet | None = None
    pool: SceneSet | None = None
    lessons: Lessons | None = None
    cache: tuple[Path, str] | None = None
    waiting: Waiting = field(default_factory=Waiting)

    @contextlib.contextmanager
    def feeding(self) -> Iterator[None]:
        """For the time of a training: processes that mix clips for it end with it, and what they raised is raised.

        Raises:
            KerasMtlError: what kept a clip from being made, in place of TensorFlow's error about it.
        """
        strong = self.events.get("strong")
        feeder = strong.feeder if isinstance(strong, FreshMixtures) else None
        try:
            yield
        except Exception:
            if feeder is not None and feeder.error is not None:
                raise feeder.error from None
            raise
        finally:
            if feeder is not None:
                feeder.close()

    def medians_s(self, labels: Sequence[str]) -> dict[str, float]:
        """What median filters of "auto" are of these classes, by the strong clips that are trained on, in seconds."""
        return auto_medians(self.events["strong"].events if self.events else (), labels)

    def streams(
        self, tasks: tuple[str, ...], recipe: Recipe, network: keras.Model, embedded: bool = False
    ) -> dict[str, Stream]:
        """The training streams of these tasks; the events' targets lie on the grid of the network's embeddings.

        Where they are `embedded`, the events' stream holds strong clips alone, as embeddings of the network's encoder.
        """
        train = recipe.train
        found: dict[str, Stream] = {}
        taught = self.lessons.events if self.lessons is not None else None
        if "scenes" in tasks and self.scenes is not None:
            found["scenes"] = self._scene_stream(self.scenes, recipe)
        if embedded:
            kinds = {"strong": self._embedded(self.events["strong"], network)}
            plain = replace(self, settings=self.settings.normalised(0.0, 1.0))
            found["events"] = plain._event_stream(
                kinds, {"strong": train.strong_batch}, network, train.seed, True, taught
            )
        elif "events" in tasks:
            batches = _batches(train)
            tagged = "weak" not in self.events and train.weak_batch > 0
            found["events"] = self._event_stream(self.events, batches, network, train.seed, tagged, taught)
        return found

    def _scene_stream(self, scenes: SceneSet, recipe: Recipe) -> SceneStream | TaughtStream:
        train, copies = recipe.train, self.scene_copies
        if self.varied is not None:
            scenes = scenes.join(self.varied)
            if copies is not None:
                copies = replace(copies, rows=np.pad(copies.rows, (0, len(self.varied)), constant_values=-1))
        stream = SceneStream(scenes, train.scene_batch, self.settings, train.seed, copies, train.balance_scenes)
        lessons, pool = self.lessons or Lessons(), self.pool
        if lessons.scenes is None:
            return stream
        return TaughtStream(stream, lessons.scenes, pool, lessons.pool, train.pool_batch, self.settings, train.seed)

    def _embedded(self, clips: EventSet, network: keras.Model) -> EventSet:
        assert self.cache is not None
        return Embedded.of(clips, self.settings, network.get_layer("encoder"), *self.cache, self.waiting)

    def held_out_streams(
        self, tasks: tuple[str, ...], network: keras.Model, embedded: bool = False
    ) -> dict[str, Stream]:
        """The held-out streams of these tasks; empty where nothing is held out for one of them."""
        found: dict[str, Stream] = {}
        if "scenes" in tasks and self.held_out_scenes is not None:
            batch = min(_HELD_OUT_BATCH["scenes"], len(self.held_out_scenes))
            found["scenes"] = SceneStream(self.held_out_scenes, batch, self.settings, 0)
        if "events" in tasks and self.held_out_events is not None:
            batch, clips, data = min(_HELD_OUT_BATCH["events"], len(self.held_out_events)), self.held_out_events, self
            if embedded:
                clips, data = self._embedded(clips, network), replace(self, settings=self.settings.normalised(0.0, 1.0))
            batches = {"strong": batch, "weak": batch}
            found["events"] = data._event_stream({"strong": clips, "weak": clips}, batches, network, 0)
        return found if len(found) == len(tasks) else {}

    def _event_stream(
        self,
        kinds: dict[str, EventSet],
        batches: dict[str, int],
        network: keras.Model,
        seed: int,
        tagged: bool = False,
        taught: Mapping[str, TaughtEvents] | None = None,
    ) -> EventStream:
        stride, embeddings = frames_per_embedding(network), embeddings_of(network, kinds["strong"].log_mel.shape[1])
        return EventStream(kinds, batches, self.settings, self.labels.events, stride, seed, embeddings, tagged, taught)


def load_training_data(
    recipe: Recipe, corpus: Corpus, tasks: set[str], cache: Path, workers: int = 0, teacher: Teacher | None = None
) -> TrainingData:
    """Reads the sets that these tasks need, holds clips out and measures the normalisation.

    The scalar normalisation is that of the training clips of all the tasks' sets; a recipe that sets `std_db` to other
    than 1 keeps its own. Where the data have no weak clips, the classes of the strong ones are their weak labels, too.
    Of strong clips those that were mixed from a soundbank are not held out, but where there are no others.

    Args:
        recipe: the recipe.
        corpus: the data.
        tasks: "scenes", "events" or both.
        cache: where log-mel features are kept.
        workers: processes that mix clips anew, as of `Feeder`.
        teacher: a teacher from outside, or None.

    Raises:
        DataError: the corpus lacks what a task needs, or is opened for other clips or labels than the recipe's.
    """
    train, settings = recipe.train, recipe.features
    scenes = held_scenes = held_events = copies = varied = pool = lessons = None
    kinds: dict[str, EventSet] = {}
    require_tasks(corpus, tasks)
    require_same_clips(recipe, corpus, tasks)
    if "scenes" in tasks:
        everything = scene_set(corpus, "train", settings, cache)
        kept, held = hold_out_recordings(everything, train.validation_fraction, train.seed, train.balance_scenes)
        scenes, held_scenes = (everything.take(kept), everything.take(held)) if len(held) else (everything, None)
        copies = impulse_copies(corpus, "train", everything, settings, cache, recipe.augment, train.seed)
        copies = copies.take(kept) if copies is not None else None
    if "events" in tasks:
        kinds["strong"], held_events = hold_out_events(corpus, settings, cache, train.validation_fraction, train.seed)
        for kind in ("weak", "unlabelled"):
            if kind in corpus.events:
                kinds[kind] = event_set(corpus, kind, settings, cache)
    if scenes is not None:
        cut = _rows_to_cut(corpus, tasks, kinds, settings, cache) if hears(teacher) else {}
        augment = recipe.augment if hears(teacher) else replace(recipe.augment, waveform_mixes=0, waveform_cuts=0)
        splits = varied_scenes(corpus, kept, cut, augment, train.seed)
        with_scene, without = (
            [(clips, scenes_of(clips, corpus.key, settings, cache)) for clips in part] for part in splits
        )
        varied, pool = _joined(with_scene), _joined(without)
        if teacher is not None:
            lessons = learn(teacher, corpus, train, scenes, with_scene, without)
    if teacher is not None and train.event_weight and kinds:
        embedded = any(phase.embedded for phase in ALGORITHMS[train.algorithm](train))
        batches = {"strong": train.strong_batch} if embedded else _batches(train)
        heard = {kind: clips for kind, clips in kinds.items() if batches.get(kind)}
        told = learn_events(teacher, _splits_of(heard, corpus, settings, cache), heard)
        lessons = replace(lessons or Lessons(), events=told)
    if teacher is not None and (lessons is None or not lessons.says_something):
        raise RecipeError(
            f"the teacher {recipe.train.teacher} has nothing to say of {' and '.join(sorted(tasks))}",
            hint="train.distillation_weight, embedding_weight and tag_weight are of scenes, event_weight of events",
        )
    if settings.std_db == 1.0:
        arrays = [kinds[k].log_mel for k in kinds] + ([scenes.log_mel] if scenes is not None else [])
        settings = settings.normalised(*(round(v, 3) for v in log_mel_statistics(arrays)))
    if kinds:
        _say_what_lacks(kinds, recipe, corpus)
        if recipe.data.fresh_mixtures and corpus.mixer is not None:
            mixer = replace(corpus.mixer, occurrence=occurrence(kinds["strong"], corpus.mixer.clip_s))
            feeder = Feeder(mixer, settings.normalised(0.0, 1.0), workers)
            kinds["strong"] = FreshMixtures.of(kinds["strong"], feeder)
    for task in sorted(tasks - set(scored_tasks(tasks, corpus))):
        _log.warning("%s: no evaluation clips, so the run gets no figures of %s", corpus.name, task)
    return TrainingData(
        settings,
        scenes,
        held_scenes,
        kinds,
        held_events,
        corpus.labels,
        copies,
        varied,
        pool,
        lessons,
        (cache, corpus.key),
    )


def _joined(splits: Sequence[tuple[Clips, SceneSet]]) -> SceneSet | None:
    return functools.reduce(SceneSet.join, [each for _, each in splits]) if splits else None


def _batches(train: TrainSettings) -> dict[str, int]:
    return {"strong": train.strong_batch, "weak": train.weak_batch, "unlabelled": train.unlabelled_batch}


def _splits_of(
    kinds: Iterable[str], corpus: Corpus, settings: LogMelSettings, cache: Path
) -> dict[str, list[tuple[Clips | MixedClips, np.ndarray]]]:
    """By kind of event clips, the splits that its clips are of, with their names."""
    found: dict[str, list[tuple[Clips | MixedClips, np.ndarray]]] = {}
    for kind in kinds:
        names = [name for name in (STRONG if kind == "strong" else (kind,)) if name in corpus.events]
        found[kind] = [(corpus.events[name], event_set(corpus, name, settings, cache).filenames) for name in names]
    return found


def _rows_to_cut(
    corpus: Corpus, tasks: set[str], kinds: dict[str, EventSet], settings: LogMelSettings, cache: Path
) -> dict[str, np.ndarray]:
    """Of the splits of event clips that a teacher may hear cuts of: the clips that are not held out."""
    rows: dict[str, np.ndarray] = {}
    for name in (*STRONG, "weak", "unlabelled"):
        if name in corpus.events and name in STRONG and "events" in tasks:
            names = event_set(corpus, name, settings, cache).filenames
            rows[name] = np.flatnonzero(np.isin(names, kinds["strong"].filenames))
        elif name in corpus.events:
            rows[name] = np.arange(corpus.events[name].count)
    return rows


def require_same_clips(recipe: Recipe, corpus: Corpus, tasks: Iterable[str]) -> None:
    """Raises where a corpus is opened for other clips or classes than those of a recipe.

    Raises:
        DataError: it is.
    """
    if corpus.settings != recipe.data:
        ours, theirs = asdict(recipe.data), asdict(corpus.settings)
        key = next(key for key in ours if ours[key] != theirs[key])
        raise DataError(
            f"{corpus.name} is opened with data.{key} = {theirs[key]}, and the recipe has {ours[key]}",
            hint="open_corpus(..., settings=recipe.data)",
        )
    hint = "open_corpus(..., labels=recipe.labels)"
    recipe.labels.or_else(corpus.labels).require_same(corpus.labels, tasks, "the recipe", corpus.name, DataError, hint)


def pick_samples(data: TrainingData, corpus: Corpus, cache: Path) -> Samples:
    """The clips that a run folder keeps, evenly spaced: of the scenes and of the events, where it was trained on them.

    Scene clips serve for calibration (training clips) and, as event clips do, as golden inputs (evaluation clips; where
    the corpus has none, training clips).
    """
    definition = data.settings.normalised(0.0, 1.0)
    calibration = golden = _no_clips(data.settings, corpus.settings.scene_clip_s)
    golden_events = _no_clips(data.settings, corpus.settings.event_clip_s)
    if data.scenes is not None:
        split = "test" if "test" in corpus.scenes else "train"
        clip_s = max(1.0, corpus.settings.scene_clip_s)
        most = max(_LEAST_CALIBRATION_CLIPS, round(_CALIBRATION_CLIPS / clip_s))
        calibration = _some(data.scenes, most, data.settings)
        most = max(_LEAST_GOLDEN_CLIPS, round(_GOLDEN_CLIPS / clip_s))
        golden = _some(scene_set(corpus, split, definition, cache), most, data.settings)
    if data.events:
        evaluation = "validation" in corpus.events
        clips = event_set(corpus, "validation", definition, cache) if evaluation else data.events["strong"]
        golden_events = _some(clips, _GOLDEN_EVENT_CLIPS, data.settings)
    return Samples(calibration, golden, golden_events)


def require_tasks(corpus: Corpus, tasks: set[str]) -> None:
    """Raises where a corpus lacks training clips of a task (DataError)."""
    there = {
        "scenes": "train" in corpus.scenes,
        "events": not {*STRONG, STRONG_MIXED}.isdisjoint(corpus.events),
    }
    what = {"scenes": "no scene (TAU) clips to train on", "events": "no strongly labelled event (DESED) clips"}
    for task in sorted(tasks):
        if not there[task]:
            others = [other for other in there if there[other]]
            alone = f"--set algorithm=single --set task={others[0]} trains on {others[0]} alone" if others else ""
            raise DataError(f"{corpus.name}: {what[task]}", hint=alone or "see docs/data.md for the folders")


def _say_what_lacks(kinds: dict[str, EventSet], recipe: Recipe, corpus: Corpus) -> None:
    train = recipe.train
    if "weak" not in kinds and train.weak_batch:
        # Nothing else trains the clip-level output: the loss of strong clips is that of the frames.
        _log.warning("%s: no weak clips; the classes of the strong ones train the output for a clip", corpus.name)
    if "unlabelled" not in kinds and train.unlabelled_batch and train.consistency_weight:
        _log.warning("%s: no unlabelled clips; the mean teacher has the labelled ones only", corpus.name)


def _no_clips(settings: LogMelSettings, seconds: float) -> np.ndarray:
    return np.zeros((0, settings.frames(round(seconds * settings.sample_rate_hz)), settings.mel_bands), np.float32)


def _some(clips: SceneSet | EventSet, most: int, settings: LogMelSettings) -> np.ndarray:
    from keras_mtl.features import normalise

    index = np.unique(np.linspace(0, len(clips) - 1, most).astype(int))
    return normalise(clips.log_mel[index], settings)
