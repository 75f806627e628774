"""Opens teachers from outside, whatever they are, as one thing that gives targets of clips."""

from __future__ import annotations

import functools
import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np

from keras_mtl.core import DataError, EngineError, RecipeError
from keras_mtl.datasets import STRONG, Corpus
from keras_mtl.datasets.mixing import MixedClips
from keras_mtl.datasets.prepare import Clips, Workers, in_turn
from keras_mtl.decoding import Event, Grid
from keras_mtl.features import MappedLogMel, Rows
from keras_mtl.teachers.event_probe import EventProbe
from keras_mtl.teachers.folder import TARGETS, read_targets, standardised
from keras_mtl.teachers.hearing import Heard, hear, model_outputs
from keras_mtl.teachers.scene_probe import SceneProbe, mean_of_windows
from keras_mtl.teachers.settings import SUFFIXES, YAMNET, TeacherSettings, load_teacher
from keras_mtl.teachers.targets import Targets

_PROBES = "keras_mtl.probes/1"
_YAMNET_OUTPUTS = {"embedding": 1024, "scores": 521}
_TASKS = ("scenes", "events")


class Teacher(ABC):
    """What gives targets of clips.

    Attributes:
        sample_rate_hz: of the corpus that it takes; None where it takes any.
    """

    sample_rate_hz: int | None = None

    @abstractmethod
    def targets(
        self,
        clips: Clips | MixedClips,
        filenames: Sequence[str] | None = None,
        recordings: Sequence[tuple[str, ...]] | None = None,
        tasks: Sequence[str] = _TASKS,
    ) -> Targets:
        """Targets of clips; what the teacher does not give of them is None.

        Args:
            clips: a split, or clips that were made of one.
            filenames: the clips that are wanted, in that order; all of them where None.
            recordings: of each clip of `clips`, the training recordings of scenes that are heard in it; where None,
                what its examples say by `recording` or `recordings`.
            tasks: whose targets are wanted: "scenes", "events".

        Raises:
            DataError: clips without targets, or clips at another rate.
            EngineError: the teacher's model can't be used, or its process died.
        """


@dataclass(frozen=True)
class FileTeacher(Teacher):
    """A teacher by its model's file, with probes fitted on the training clips of a corpus; all of it cached.

    Attributes:
        settings: the teacher.
        corpus: the data that probes are fitted on, at the teacher's rate.
        cache: the folder that `--cache` of the commands names.
        seed: of the probes.
        workers: who computes.
    """

    settings: TeacherSettings
    corpus: Corpus
    cache: Path
    seed: int = 0
    workers: Workers = in_turn

    @property
    def sample_rate_hz(self) -> int:  # type: ignore[override]
        """See `Teacher`."""
        return self.settings.sample_rate_hz

    def hear(self, clips: Clips | MixedClips) -> Heard:
        """The teacher's outputs for clips, cached."""
        return hear(clips, self.corpus.key_of(clips), self.settings, self.cache, self.workers)

    @functools.cached_property
    def strong(self) -> Heard:
        """The teacher's outputs for the strongly labelled training clips."""
        found = [self.hear(self.corpus.events[name]) for name in STRONG if name in self.corpus.events]
        embeddings = MappedLogMel([part for heard in found for part in heard.embeddings.parts])
        return Heard(embeddings, None, [row for heard in found for row in heard.labels], self.settings.hop_s)

    @functools.cached_property
    def scene_probe(self) -> SceneProbe | None:
        """Fitted on the training clips; None where the corpus has no scenes to train on."""
        if "train" not in self.corpus.scenes:
            return None
        heard, probe = self.hear(self.corpus.scenes["train"]), self.settings.probe
        scenes = np.asarray([row["scene"] for row in heard.labels])
        recordings, count = [row["recording"] for row in heard.labels], len(self.corpus.labels.scenes)
        embeddings, home = mean_of_windows(heard.embeddings), self._home
        return SceneProbe.fit(embeddings, scenes, recordings, count, self.seed, probe.c, probe.folds, home)

    @functools.cached_property
    def event_probe(self) -> EventProbe | None:
        """Fitted on the strong training clips; None where the corpus has none."""
        if not set(STRONG) & self.corpus.events.keys():
            return None
        heard, probe, labels = self.strong, self.settings.probe, self.corpus.labels.events
        grid = self.grid(heard.embeddings.shape[1])
        targets = np.stack([grid.targets(events, labels) for events in events_of(heard.labels, labels)])
        groups = groups_of(heard.labels)
        return EventProbe.fit(heard.embeddings, targets, groups, self.seed, probe.epochs, probe.folds, self._home)

    def grid(self, windows: int) -> Grid:
        """The grid of the windows of an event clip."""
        hop_s = self.settings.hop / self.settings.sample_rate_hz
        return Grid(hop_s, -hop_s / 2, windows, self.corpus.settings.event_clip_s)

    def targets(
        self,
        clips: Clips | MixedClips,
        filenames: Sequence[str] | None = None,
        recordings: Sequence[tuple[str, ...]] | None = None,
        tasks: Sequence[str] = _TASKS,
    ) -> Targets:
        """See `Teacher.targets`."""
        heard = self.hear(clips)
        means = mean_of_windows(heard.embeddings)
        scenes = events = None
        if "scenes" in tasks and self.scene_probe is not None:
            heard_in = [_recordings_of(row) for row in heard.labels] if recordings is None else recordings
            scenes = self.scene_probe.logits(means, heard_in)
        if "events" in tasks and heard.embeddings.shape[1] > 1 and self.event_probe is not None:
            events = self.event_probe.probabilities(heard.embeddings, groups_of(heard.labels))
        found = Targets(
            np.asarray([row["filename"] for row in heard.labels]),
            standardised(means, self._training_means),
            None if heard.scores is None else mean_of_windows(heard.scores),
            scenes,
            events,
            self.settings.hop / self.settings.sample_rate_hz,
        )
        return found if filenames is None else found.of(filenames, f"{self.settings.name} on {clips.name}")

    @functools.cached_property
    def _training_means(self) -> np.ndarray:
        heard = self.hear(self.corpus.scenes["train"]) if "train" in self.corpus.scenes else self.strong
        return mean_of_windows(heard.embeddings)

    @functools.cached_property
    def _home(self) -> Path:
        """Where fitted probes are kept."""
        stands_for = [_PROBES, self.settings.digest, self.corpus.key, asdict(self.settings.probe), self.seed]
        stands_for += [asdict(self.corpus.settings), [(c.name, c.count) for c in self.corpus.scenes.values()]]
        digest = hashlib.sha256(json.dumps(stands_for, sort_keys=True).encode()).hexdigest()
        return self.cache / "teachers" / "probes" / digest[:24]


@dataclass(frozen=True)
class FolderTeacher(Teacher):
    """Targets that others computed.

    Attributes:
        path: the folder.
        clips: the targets of all clips, without events.
        events: the events.
    """

    path: Path
    clips: Targets
    events: Targets

    def targets(
        self,
        clips: Clips | MixedClips,
        filenames: Sequence[str] | None = None,
        recordings: Sequence[tuple[str, ...]] | None = None,
        tasks: Sequence[str] = _TASKS,
    ) -> Targets:
        """See `Teacher.targets`. The names alone count."""
        if filenames is None:
            filenames = [str(example["filename"]) for example in clips.between(0, clips.count)]
        found = self.clips.of(filenames, str(self.path / TARGETS))
        if "scenes" not in tasks:
            found = replace(found, scenes=None)
        some = self.events.events is not None and bool(set(filenames) & set(self.events.filenames.tolist()))
        if "events" in tasks and some:
            events = self.events.of(filenames, f"{self.path / TARGETS}, events")
            found = replace(found, events=events.events, hop_s=events.hop_s)
        return found


def open_teacher(
    path: str | Path,
    corpus: Corpus,
    cache: Path,
    model: str | Path | None = None,
    seed: int = 0,
    workers: Workers = in_turn,
) -> Teacher | None:
    """Opens a teacher from outside.

    Args:
        path: a teacher's `.toml`; a `.tflite` or `.keras` file with the shapes of YAMNet; or a folder with
            `targets.npz`.
        corpus: the data, at the teacher's rate (`read_teacher` tells it beforehand).
        cache: the folder that `--cache` of the commands names.
        model: the file of a TOML's model, instead of the one that it names.
        seed: of the probes.
        workers: who computes.

    Returns:
        The teacher; None of a run folder, which is left to the caller.

    Raises:
        RecipeError: there is no such teacher, or its settings can't be used.
        DataError: targets that can't be used.
        EngineError: the model can't be read.
    """
    path = Path(path)
    if path.is_dir():
        if (path / TARGETS).exists():
            return FolderTeacher(path, *read_targets(path, corpus.labels))
        if (path / "run.json").exists():
            return None
        raise DataError(f"{path} is no teacher: it holds no {TARGETS} and no run", hint="docs/teachers.md has more")
    return FileTeacher(read_teacher(path, model), corpus, cache, seed, workers)


def read_teacher(path: str | Path, model: str | Path | None = None) -> TeacherSettings:
    """The settings of a teacher by its file; of a model given directly, those of YAMNet, if it is that.

    Raises:
        RecipeError: no such file, settings that can't be used, or another model than YAMNet.
    """
    path = Path(path)
    if path.suffix not in SUFFIXES:
        return load_teacher(path, model)
    if model is not None:
        raise RecipeError(f"{path} is a model already", hint="leave out --model, or name a .toml")
    teacher = load_teacher(YAMNET, path)
    try:
        outputs = model_outputs(teacher)
    except EngineError as error:
        raise RecipeError(f"{path} is not YAMNet: {error.message}", hint=f"copy {YAMNET} and describe it") from None
    found = {size: place for place, (_, size) in enumerate(outputs)}
    if _YAMNET_OUTPUTS["scores"] not in found:
        sizes = ", ".join(f"{size:,}" for _, size in outputs)
        raise RecipeError(f"{path} is not YAMNet: its outputs have {sizes} values", hint=f"copy {YAMNET}")
    embedding = found.get(_YAMNET_OUTPUTS["embedding"], teacher.embedding)
    return replace(teacher, embedding=embedding, scores=found[_YAMNET_OUTPUTS["scores"]])


def events_of(rows: Rows, labels: Sequence[str]) -> list[list[Event]]:
    """The events of clips, by their labels."""
    columns = ([row["events"][key] for key in ("onset_s", "offset_s", "label")] for row in rows)
    return [[Event(on, off, labels[k]) for on, off, k in zip(*each, strict=True)] for each in columns]


def groups_of(rows: Rows) -> list[str]:
    """What event clips are kept together by: their recordings, where all are known, else their names."""
    return [row["recording" if by_recording(rows) else "filename"] for row in rows]


def by_recording(rows: Rows) -> bool:
    """Whether the recording of every clip is known."""
    return all("recording" in row for row in rows)


def _recordings_of(row: dict[str, object]) -> tuple[str, ...]:
    several, one = row.get("recordings"), row.get("recording")
    return tuple(several) if isinstance(several, list) else (str(one),) if one else ()
