"""What a teacher from outside says of the clips of a training, as the batches and the losses need it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from keras_mtl.algorithms import TEACHER_EMBEDDING, TEACHER_SCENES, TEACHER_TAGS, TeacherTerms
from keras_mtl.core import RecipeError
from keras_mtl.datasets import Corpus
from keras_mtl.datasets.mixing import MixedClips, number_of
from keras_mtl.datasets.prepare import Clips
from keras_mtl.features import EventSet, SceneSet, recordings_in
from keras_mtl.recipes import Recipe, TrainSettings
from keras_mtl.teachers import TARGETS, FolderTeacher, Teacher, open_teacher, standardised
from keras_mtl.training.taught import Taught, TaughtEvents

#: What the scenes' loss has of a teacher, by the names of `Targets`.
_KEYS = {"scenes": TEACHER_SCENES, "embedding": TEACHER_EMBEDDING, "tags": TEACHER_TAGS}
#: What a clip that was varied as a waveform has behind the name of its source.
_VERSION = "#"


@dataclass(frozen=True)
class Lessons:
    """A teacher's targets.

    Attributes:
        scenes: of the clips that have a scene, those varied as waveforms behind the plain ones; None where no scenes
            are trained.
        pool: of the clips that have none; None where there are none.
        events: of the event clips of each kind, where it says something of them.
    """

    scenes: Taught | None = None
    pool: Taught | None = None
    events: Mapping[str, TaughtEvents] = field(default_factory=dict)

    @property
    def says_something(self) -> bool:
        """Whether there is any target."""
        return bool(self.events) or (self.scenes is not None and bool(self.scenes.targets))

    def terms(self, train: TrainSettings, tasks: Sequence[str]) -> TeacherTerms | None:
        """What the targets add to the losses of some tasks; None where that is nothing."""
        of_scenes = self.scenes.targets if self.scenes is not None and "scenes" in tasks else {}
        sizes = {key: values.shape[-1] for key, values in of_scenes.items()}
        event_weight = train.event_weight if self.events and "events" in tasks else 0.0
        if not sizes and not event_weight:
            return None
        return TeacherTerms(
            sizes.get(TEACHER_EMBEDDING, 0),
            sizes.get(TEACHER_TAGS, 0),
            train.distillation_weight if TEACHER_SCENES in sizes else 0.0,
            train.distillation_temperature,
            train.embedding_weight,
            train.tag_weight,
            event_weight,
        )


def is_from_outside(path: str) -> bool:
    """Whether a recipe's teacher is a model's file, its description or a folder of targets, and no run."""
    at = Path(path).expanduser()
    return (at / TARGETS).exists() or at.suffix in (".toml", ".tflite", ".keras")


def open_from_outside(recipe: Recipe, corpus: Corpus, cache: Path) -> Teacher | None:
    """The teacher from outside that a recipe names; None where it names none.

    Raises:
        RecipeError: it is one of several teachers, takes another rate than the features, or can't be opened; or the
            recipe has mixup, which has no teacher for its mixtures.
    """
    train = recipe.train
    outside = [path for path in train.teachers if is_from_outside(path)]
    if not outside:
        return None
    if len(train.teachers) > 1:
        raise RecipeError(
            f"train.teacher names {len(train.teachers)} teachers, and {outside[0]} is from outside",
            hint="one teacher from outside, or any number of runs",
        )
    if recipe.augment.mixup_alpha:
        hint = "augment.mixup_alpha = 0; augment.waveform_mixes mixes waveforms, and the teacher hears them"
        raise RecipeError(f"the teacher {outside[0]} has nothing to say of mixup", hint=hint)
    teacher = open_teacher(Path(outside[0]).expanduser(), corpus, cache, seed=train.seed)
    if teacher is not None and teacher.sample_rate_hz not in (None, corpus.sample_rate_hz):
        raise RecipeError(
            f"the teacher {outside[0]} takes {teacher.sample_rate_hz:,} Hz, the features {corpus.sample_rate_hz:,} Hz",
            hint="export its outputs at its own rate: keras_mtl teach ... --out FOLDER, and name that folder",
        )
    return teacher


def hears(teacher: Teacher | None) -> bool:
    """Whether a teacher can be asked of audio that is in no data set."""
    return teacher is not None and not isinstance(teacher, FolderTeacher)


def learn(
    teacher: Teacher,
    corpus: Corpus,
    train: TrainSettings,
    scenes: SceneSet,
    varied: Sequence[tuple[Clips, SceneSet]],
    pool: Sequence[tuple[Clips, SceneSet]],
) -> Lessons:
    """Asks a teacher of all scene clips of a training, and standardises its embeddings over all of them.

    Channels that hardly vary over the plain clips may do so over the others, and would then make up most of the
    distance.

    Args:
        teacher: the teacher.
        corpus: the data.
        train: which terms are wanted.
        scenes: the plain clips that are trained on.
        varied: splits of their versions, with the set of each.
        pool: splits of clips without a scene, likewise.

    Raises:
        DataError: as of `Teacher.targets`.
        EngineError: likewise.
    """
    plain = _of(teacher, corpus.scenes["train"], scenes.filenames, None, train)
    versions = [_asked(teacher, clips, each, train) for clips, each in varied]
    others = [_asked(teacher, clips, each, train) for clips, each in pool]
    lessons = Lessons(_joined([plain, *versions]), _joined(others) if others else None)
    heard = [each.targets for each in (lessons.scenes, lessons.pool) if each is not None]
    if TEACHER_EMBEDDING in heard[0]:
        whole = np.concatenate([targets[TEACHER_EMBEDDING] for targets in heard])
        for targets in heard:
            targets[TEACHER_EMBEDDING] = standardised(targets[TEACHER_EMBEDDING], whole)
    return lessons


def learn_events(
    teacher: Teacher,
    splits: Mapping[str, Sequence[tuple[Clips | MixedClips, np.ndarray]]],
    kinds: Mapping[str, EventSet],
) -> dict[str, TaughtEvents]:
    """Asks a teacher of the event clips of a training, but for those that are mixed from a soundbank.

    Args:
        teacher: the teacher.
        splits: by kind, the splits that its clips are of, with the clips' names.
        kinds: the clips that are trained on.

    Returns:
        By kind, what it says; without the kinds of which it says nothing.

    Raises:
        DataError: as of `Teacher.targets`.
        EngineError: likewise.
    """
    found: dict[str, TaughtEvents] = {}
    for kind, clips in kinds.items():
        place = {str(name): number for number, name in enumerate(clips.filenames) if number_of(str(name)) is None}
        for split, filenames in splits[kind]:
            names = [str(name) for name in filenames if str(name) in place]
            targets = teacher.targets(split, names, None, ("events",)) if names else None
            if targets is None or targets.events is None:
                continue
            if kind not in found:
                nothing = np.zeros((len(clips), *targets.events.shape[1:]), np.float16)
                found[kind] = TaughtEvents(nothing, np.zeros(len(clips), bool), targets.hop_s)
            rows = [place[name] for name in names]
            found[kind].events[rows], found[kind].told[rows] = targets.events, True
    return found


def _asked(teacher: Teacher, clips: Clips, each: SceneSet, train: TrainSettings) -> dict[str, np.ndarray]:
    if isinstance(teacher, FolderTeacher):  # which says of a version what it says of its source
        sources = np.asarray([str(name).rpartition(_VERSION)[0] for name in each.filenames])
        return _of(teacher, clips, sources, None, train)
    return _of(teacher, clips, None, [recordings_in(str(name)) for name in each.recordings], train)


def _of(
    teacher: Teacher,
    clips: Clips,
    filenames: np.ndarray | None,
    recordings: Sequence[tuple[str, ...]] | None,
    train: TrainSettings,
) -> dict[str, np.ndarray]:
    names = None if filenames is None else filenames.tolist()
    targets = teacher.targets(clips, names, recordings, ("scenes",))
    weights = {"scenes": train.distillation_weight, "embedding": train.embedding_weight, "tags": train.tag_weight}
    found = {_KEYS[name]: getattr(targets, name) for name, weight in weights.items() if weight}
    return {key: values for key, values in found.items() if values is not None}


def _joined(parts: Sequence[dict[str, np.ndarray]]) -> Taught:
    return Taught({key: np.concatenate([part[key] for part in parts]) for key in parts[0]})
