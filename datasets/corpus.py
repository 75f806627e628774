"""Opening data for training and evaluation: a user's folders or the embedded sounds, prepared once by TFDS."""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from keras_mtl.core import DCASE, DataError, Labels
from keras_mtl.datasets import own
from keras_mtl.datasets.audio import SAMPLE_RATE_HZ, layout
from keras_mtl.datasets.desed.desed_dataset_builder import Builder as Desed
from keras_mtl.datasets.mixing import MixedClips, Mixer, clips_of, open_desed_soundbank
from keras_mtl.datasets.prepare import (
    ClipConfig,
    Clips,
    DataSettings,
    LocalBuilder,
    Workers,
    censuses,
    clip_config,
    in_turn,
    prepared,
    quiet,
)
from keras_mtl.datasets.soundscapes.soundscapes_dataset_builder import Builder as Soundscapes
from keras_mtl.datasets.soundscapes.soundscapes_dataset_builder import fingerprint
from keras_mtl.datasets.tables import PERCENTS, WHOLE, require_subset, used_splits
from keras_mtl.datasets.tau_urban_acoustic_scenes_2022_mobile import (
    tau_urban_acoustic_scenes_2022_mobile_dataset_builder as tau,
)

#: The word that stands for the embedded data wherever a data folder is expected.
EMBEDDED = "soundscapes"
#: Splits of strongly labelled event clips to train on; and the one that is mixed from DESED's soundbank.
STRONG, STRONG_MIXED = ("strong_real", "strong_synthetic"), "strong_mixed"

_log = logging.getLogger("keras_mtl")

#: Looks at a fingerprint, and those of the parts, before anything is prepared.
Accept = Callable[[str, dict[str, str]], None]
#: Folder of the cache that remembers the recordings' digests.
DIGESTS = "digests"


@dataclass(frozen=True)
class Corpus:
    """The data of both tasks.

    Attributes:
        name: "soundscapes", or the folder's name.
        fingerprint: sha256 over names and content of tables and recordings, or over the generator's version, seed and
            sizes.
        scenes: clips of "train" (or of the wanted part of it) and "test"; empty when the folder holds no
            scene data.
        events: clips of those that are there of "strong_real", "strong_synthetic", "synthetic_validation", "weak",
            "unlabelled", "validation", and "held_out": clips of sounds that no other split has, for choosing the best
            epoch. Where the settings want it, "strong_mixed" are clips that are mixed from DESED's soundbank.
        sample_rate_hz: samples per second of all clips. The fingerprint is the same at every rate.
        parts: the fingerprint of each data set in a folder, and of the soundbank, where it is used, which is no part of
            the fingerprint of all.
        labels: the classes of the tasks that are there, in the order of the clips' class numbers.
        settings: which clips these are.
        mixer: what mixes the clips of "strong_synthetic" of own sounds, or of "strong_mixed", and others like them.
    """

    name: str
    fingerprint: str
    scenes: dict[str, Clips]
    events: dict[str, Clips | MixedClips]
    sample_rate_hz: int = SAMPLE_RATE_HZ
    parts: dict[str, str] = field(default_factory=dict)
    labels: Labels = DCASE
    settings: DataSettings = field(default_factory=DataSettings)
    mixer: Mixer | None = None

    @property
    def stamp(self) -> dict[str, Any]:
        """How runs and scores name their data: {"name", "fingerprint", "settings"}, those that are not the default."""
        usual = asdict(DataSettings())
        others = {key: value for key, value in asdict(self.settings).items() if value != usual[key]}
        return {"name": self.name, "fingerprint": self.fingerprint, **({"settings": others} if others else {})}

    @property
    def key(self) -> str:
        """What prepared data that hold class numbers are kept under: the fingerprint, and the labels."""
        return _key(self.fingerprint, self.labels)

    def key_of(self, clips: Clips | MixedClips) -> str:
        """What prepared data of some of its clips are kept under."""
        return clips.key if isinstance(clips, MixedClips) else self.key


def open_corpus(
    data: str | Path,
    cache: Path | None = None,
    progress: bool = True,
    sample_rate_hz: int = SAMPLE_RATE_HZ,
    workers: Workers = in_turn,
    beam: Any = None,
    settings: DataSettings | None = None,
    labels: Labels | None = None,
    scoring: bool = False,
    accept: Accept = lambda fingerprint, parts: None,
) -> Corpus:
    """Opens a data folder, and prepares it on the first time at this rate.

    Args:
        data: "soundscapes" (the embedded data; "soundscapes:tiny" is a few clips of them), or a folder that is or holds
            the TAU development set (`TAU-urban-acoustic-scenes-2022-mobile-development/`) and / or DESED (`desed/`), or
            a folder of own sounds (see `own.folder`).
            It is only read, never written to.
        cache: where prepared data are kept; else the environment's KERAS_MTL_CACHE, else `~/.cache/keras_mtl/tfds`.
        progress: whether to show a progress bar on stderr while preparing.
        sample_rate_hz: samples per second of the clips: that of the features they are for. Recordings of a folder are
            resampled from the files to this rate. The embedded data are synthesised at 16 kHz and resampled from
            that: at a higher rate there is nothing above 8 kHz in them.
        workers: who reads and resamples recordings.
        beam: options of an Apache Beam pipeline that does it instead of them (see `workers.beam_options`), or None.
        settings: which clips to make of the data; the defaults where None.
        labels: the classes; where None, or of a task without any, those of the data: of TAU, DESED and the embedded
            data those of DCASE.
        scoring: whether the corpus is for scoring alone: then the scenes are "test", of whatever part of TAU's training
            split was prepared before, or else of all.
        accept: called with the corpus's `fingerprint` and `parts` before anything is prepared; may raise.

    Raises:
        DataError: no such folder, nothing usable in it, a bad table, a recording that can't be read, a label that is
            none of the classes, or no table of the part.
    """
    settings, labels = settings or DataSettings(), labels or Labels()
    cache = Path(cache or os.environ.get("KERAS_MTL_CACHE") or Path.home() / ".cache" / "keras_mtl" / "tfds")
    how = {"progress": progress, "workers": workers, "beam": beam}
    asked = _Asked(cache, sample_rate_hz, settings, labels, scoring, accept, how)
    word, _, size = str(data).partition(":")
    if sample_rate_hz < 1:
        raise DataError(f"clips at {sample_rate_hz} Hz can't be made")
    if word == EMBEDDED:
        require_subset(WHOLE if scoring else settings.scene_subset, None, EMBEDDED)
        return _open_embedded(size or "full", asked)
    return _open_folder(layout.require_folder(Path(data)), asked)


@dataclass(frozen=True)
class _Asked:
    """What `open_corpus` was asked for; `how` are the arguments of `prepared`."""

    cache: Path
    sample_rate_hz: int
    settings: DataSettings
    labels: Labels
    scoring: bool
    accept: Accept
    how: dict[str, Any]

    def home(self, fingerprint: str, labels: Labels) -> Path:
        """Where data of this content and these classes are prepared."""
        return self.cache / _key(fingerprint, labels)[:24]

    def splits(self, builder: LocalBuilder) -> dict[str, Clips]:
        """The clips of each split of a prepared data set."""
        census = censuses(builder)
        return {
            name: Clips(f"{builder.name}/{name}", split.num_examples, census[name], builder, self.sample_rate_hz)
            for name, split in builder.info.splits.items()
        }


def _open_embedded(size: str, asked: _Asked) -> Corpus:
    labels, settings = asked.labels.or_else(DCASE), asked.settings
    for task, names in labels.by_task().items():
        if set(names) != set(DCASE.by_task()[task]):
            raise DataError(
                f"labels.{task} are not those of the embedded data", hint=f"they are {', '.join(DCASE.by_task()[task])}"
            )
    lengths = settings.scene_clip_s, settings.event_clip_s
    if lengths != (DataSettings.scene_clip_s, DataSettings.event_clip_s):
        raise DataError("the embedded data are clips of 1 s and 10 s", hint="leave data.*_clip_s as they are")
    configs = {config.name: config for config in Soundscapes.BUILDER_CONFIGS}
    sizes = sorted({name.partition("_")[2] for name in configs})
    if size not in sizes:
        raise DataError(f'no embedded data "{EMBEDDED}:{size}"', hint=f"sizes are {', '.join(sizes)}")
    chosen = [configs[f"scenes_{size}"], configs[f"events_{size}"]]
    total = fingerprint(chosen)
    asked.accept(total, {})
    scenes, events = (
        asked.splits(
            prepared(
                Soundscapes,
                asked.home(fingerprint([config]), labels),
                # TFDS knows the listed ones by their names alone.
                config=config if labels == DCASE else config.with_labels(labels),
                **asked.how,
            )
        )
        for config in chosen
    )
    return Corpus(EMBEDDED, total, scenes, {**events}, asked.sample_rate_hz, labels=labels, settings=settings)


def _open_folder(folder: Path, asked: _Asked) -> Corpus:
    roots = layout.find_sets(folder)
    if "own" in roots:
        return _open_own(folder, asked)
    settings, rate_hz, scoring = asked.settings, asked.sample_rate_hz, asked.scoring
    if not scoring:
        require_subset(settings.scene_subset, roots.get("tau"), str(folder))
    parts = {
        name: layout.fingerprint(name, root, asked.cache / DIGESTS, asked.how["progress"])
        for name, root in roots.items()
    }
    total = layout.joined_fingerprint(list(parts.values()))
    bank = None if scoring or "desed" not in roots else wanted_soundbank(roots["desed"], settings)
    if bank is not None:
        parts["soundbank"] = layout.fingerprint("soundbank", bank, asked.cache / DIGESTS, asked.how["progress"])
    asked.accept(total, parts)
    there = [task for name, task in (("tau", "scenes"), ("desed", "events")) if name in roots]
    labels = asked.labels.or_else(DCASE).of(there)
    scenes: dict[str, Clips] = {}
    events: dict[str, Clips | MixedClips] = {}
    mixer = None
    if "tau" in roots:
        home = asked.home(parts["tau"], labels.of(["scenes"]))
        percent = _prepared_part(home, rate_hz, settings) if scoring else settings.scene_subset
        config = config_of(tau.Builder, rate_hz, settings, labels, percent)
        found = asked.splits(prepared(tau.Builder, home, roots["tau"], config, **asked.how))
        training, test = used_splits(percent)
        names = {test: "test"} if scoring else {training: "train", test: "test"}
        scenes = {names[split]: clips for split, clips in found.items() if split in names}
    if "desed" in roots:
        config = config_of(Desed, rate_hz, settings, labels)
        home = asked.home(parts["desed"], labels.of(["events"]))
        events = {**asked.splits(prepared(Desed, home, roots["desed"], config, **asked.how))}
    if bank is not None:
        of_events = labels.of(["events"])
        sounds = open_desed_soundbank(bank, of_events.events)
        mixed = clips_of(sounds, parts["soundbank"], of_events, settings, rate_hz)
        events[STRONG_MIXED], mixer = mixed, mixed.mixer
    return Corpus(folder.resolve().name, total, scenes, events, rate_hz, parts, labels, settings, mixer)


def wanted_soundbank(desed: Path, settings: DataSettings) -> Path | None:
    """The soundbank of a DESED folder, where it is there and wanted.

    Raises:
        DataError: `settings.soundbank` asks for one, and none is there.
    """
    bank = desed / layout.DESED_SOUNDBANK
    if settings.soundbank and not bank.is_dir():
        hint = "it holds foreground/LABEL/ and background/KIND/; or leave data.soundbank off"
        raise DataError(f"no soundbank at {bank}", hint=hint)
    return bank if settings.mixes_soundbank and bank.is_dir() else None


def _open_own(folder: Path, asked: _Asked) -> Corpus:
    settings, rate_hz = asked.settings, asked.sample_rate_hz
    require_subset(WHOLE if asked.scoring else settings.scene_subset, None, str(folder))
    found = own.open_own(folder, settings, asked.labels)
    if found.problems:
        first, *others = found.problems
        raise DataError(first.message + (f" (and {len(others)} more)" if others else ""), hint=first.hint)
    total = own.own_home(layout.fingerprint("own", folder, asked.cache / DIGESTS, asked.how["progress"]), settings)
    asked.accept(total, {"own": total})
    if not asked.scoring:
        for line in found.untrained():
            hint = "record some, or move one to the training side; keras_mtl data check DIR lists them"
            raise DataError(f"{folder}: {line}", hint=hint)
        _log_sides(found)
    labels = found.labels.of(found.tasks)
    splits: dict[str, dict[str, Clips]] = {"scenes": {}, "events": {}}
    for task in found.tasks:
        config = own.own_config(task, rate_hz, labels, settings)
        home = asked.home(total, labels.of([task]))
        splits[task] = asked.splits(prepared(own.Builder, home, folder, config, **asked.how))
    mixer = own.mixer_of(found, "train", settings, rate_hz)
    return Corpus(
        folder.resolve().name,
        total,
        splits["scenes"],
        {**splits["events"]},
        rate_hz,
        {"own": total},
        labels,
        settings,
        mixer,
    )


def _log_sides(found: own.OwnFolder) -> None:
    """Says which recordings are held out, where no table does."""
    test = [name for name, side in found.sides.items() if side == "test"]
    if not found.table and test:
        _log.warning(
            "%s has no split.tsv: %d of %d recordings are held out for the test (data.split_seed = %d), as %s; "
            "keras_mtl data check DIR --write-split FILE writes them all down",
            found.root,
            len(test),
            len(found.sides),
            found.settings.split_seed,
            test[0],
        )


def config_of(
    builder_class: type[LocalBuilder],
    sample_rate_hz: int,
    settings: DataSettings | None = None,
    labels: Labels = DCASE,
    percent: int = WHOLE,
) -> ClipConfig:
    """The configuration that a folder's data set is prepared in: its rate and clips, and the splits that are used."""
    settings = settings or DataSettings()
    of_scenes = builder_class is tau.Builder
    clip_s = settings.scene_clip_s if of_scenes else settings.event_clip_s
    return clip_config(labels, sample_rate_hz, clip_s, used_splits(percent) if of_scenes else ())


def _prepared_part(home: Path, sample_rate_hz: int, settings: DataSettings) -> int:
    """A part of TAU that is prepared already, all of it first; where none is, all."""
    for percent in reversed(PERCENTS):
        with quiet():
            builder = tau.Builder(
                data_dir=home, config=config_of(tau.Builder, sample_rate_hz, settings, DCASE, percent)
            )
        if builder.data_path.exists():
            return percent
    return WHOLE


def _key(fingerprint: str, labels: Labels) -> str:
    return hashlib.sha256(f"{fingerprint} {labels.digest}".encode()).hexdigest()
