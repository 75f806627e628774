"""TFDS builder of a folder of own sounds: scene clips cut from recordings, event clips cut and mixed."""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import tensorflow_datasets as tfds

from keras_mtl.core import DataError, Labels
from keras_mtl.datasets.audio import audio_format, mono_blocks, to_int16
from keras_mtl.datasets.mixing import Mixer
from keras_mtl.datasets.own.folder import HELD_OUT, TEST, TRAIN, OwnFolder, class_of, open_own
from keras_mtl.datasets.own.mixing import mixer_of
from keras_mtl.datasets.prepare import Census, DataSettings, LocalBuilder, Split, clips

#: Settings that say which clips are made of a folder, besides its content.
_SETTINGS = (
    "scene_clip_s", "event_clip_s", "test_fraction", "held_out_fraction", "split_seed", "mixed_clips", "mix_seed",
    "snr_low_db", "snr_high_db",
)  # fmt: skip
#: Of the end of a recording, what is shorter makes no clip of events.
_LEAST_S = 1.0
#: Mixed clips for the test and for choosing the best epoch, as parts of those that are trained on.
_TEST_PART, _HELD_OUT_PART = 4, 8
_TOLERANCE_S = 0.001


@dataclass(eq=False)
class OwnConfig(tfds.core.BuilderConfig):
    """What to make of a folder.

    Attributes:
        task: "scenes" or "events".
        sample_rate_hz: samples per second of the clips.
        labels: the classes.
        settings: lengths, split and mixtures.
    """

    task: str = "scenes"
    sample_rate_hz: int = 16_000
    labels: Labels = field(default_factory=Labels)
    settings: DataSettings = field(default_factory=DataSettings)

    @property
    def clip_s(self) -> float:
        """Seconds of a clip."""
        return self.settings.scene_clip_s if self.task == "scenes" else self.settings.event_clip_s


def own_config(task: str, sample_rate_hz: int, labels: Labels, settings: DataSettings) -> OwnConfig:
    """The configuration of a task."""
    name = f"{task}_{sample_rate_hz}_hz"
    about = f"{task.capitalize()} of a folder of own sounds."
    return OwnConfig(
        name=name, description=about, task=task, sample_rate_hz=sample_rate_hz, labels=labels, settings=settings
    )


def own_home(fingerprint: str, settings: DataSettings) -> str:
    """What stands for the clips made of a folder: its content, and all settings that bear on them."""
    values = asdict(settings)
    bearing = {key: values[key] for key in _SETTINGS} | ({"vary": True} if settings.vary else {})
    chosen = json.dumps([fingerprint, Builder.MIXING, bearing])
    return hashlib.sha256(chosen.encode()).hexdigest()


class Builder(LocalBuilder):
    """Clips of a folder of own sounds.

    Splits of scenes: `train`, `test`. Splits of events, as far as there is something: `strong_real` (cut from
    recordings), `strong_synthetic` (mixed), `held_out` (mixed from training sounds that are in no other split),
    `unlabelled`, `validation` (cut and mixed, of the test side).
    """

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES: ClassVar[dict[str, str]] = {"1.0.0": "First release."}
    MANUAL_DOWNLOAD_INSTRUCTIONS = """
    Put recordings into `scenes/LABEL/`, `events/LABEL/`, `background/`, `recordings/` and `unlabelled/` of
    `manual_dir`, as far as there are some.
    """
    #: Changes whenever the same folder and settings give other mixtures.
    MIXING = 1
    clip_seconds = 1.0

    def _info(self) -> tfds.core.DatasetInfo:
        features = clips.scene_features if self.builder_config.task == "scenes" else clips.event_features
        return self.dataset_info_from_configs(
            features=features(self.labels, self.clip_s, self.sample_rate_hz), metadata=tfds.core.MetadataDict()
        )

    def plan(self, manual_dir: Path | None) -> dict[str, Split]:
        """See `LocalBuilder.plan`."""
        config = self.builder_config
        folder = open_own(Path(manual_dir or "."), config.settings, config.labels)
        plan = self._scenes(folder) if config.task == "scenes" else self._events(folder)
        first = next(iter(plan.values())).census if plan else None
        if first is not None:  # the splits have one folder and one table: what is amiss there counts for the first
            for kind, names in (("unnamed", folder.unnamed), ("missing", folder.missing)):
                for name in names:
                    first.count(kind, name)
        return plan

    def _scenes(self, folder: OwnFolder) -> dict[str, Split]:
        plan = {}
        for split, sides in (("train", (TRAIN, HELD_OUT)), ("test", (TEST,))):
            census = Census()
            keys = self._cut(folder, folder.names("scenes", *sides), census, self.clip_s)
            plan[split] = Split(list(keys), functools.partial(self._scene, folder, keys, census), census)
        return plan

    def _events(self, folder: OwnFolder) -> dict[str, Split]:
        settings, plan = self.builder_config.settings, {}
        mixed = {TRAIN: settings.mixed_clips, TEST: -(-settings.mixed_clips // _TEST_PART)}
        mixed |= {HELD_OUT: -(-settings.mixed_clips // _HELD_OUT_PART)}
        for split, folders, side in (
            ("strong_real", "recordings", TRAIN),
            ("strong_synthetic", "", TRAIN),
            ("held_out", "", HELD_OUT),
            ("unlabelled", "unlabelled", TRAIN),
            ("validation", "recordings", TEST),
        ):
            census = Census()
            keys = self._cut(folder, folder.names(folders, side) if folders else [], census, _LEAST_S)
            mixer = mixer_of(folder, side, settings, self.sample_rate_hz)
            made = {}
            if mixer is not None and split in ("strong_synthetic", "held_out", "validation"):
                made = {f"mixed/{split}-{number:06d}": number for number in range(mixed[side])}
            if keys or made or census.refusals:
                example = functools.partial(self._event, folder, keys, made, mixer, census)
                plan[split] = Split([*keys, *made], example, census)
        return plan

    def _cut(self, folder: OwnFolder, names: list[str], census: Census, least_s: float) -> dict[str, tuple[str, int]]:
        """The clips of recordings by key: the recording, and the clip's number in it. A short recording is one clip."""
        keys: dict[str, tuple[str, int]] = {}
        for name in names:
            try:
                found = audio_format(folder.root / name)
            except DataError as error:
                census.refuse("unreadable", name, error)
                continue
            whole, rest_s = divmod(found.seconds + _TOLERANCE_S, self.clip_s)
            count = max(1, int(whole) + (rest_s >= least_s + _TOLERANCE_S and least_s < self.clip_s))
            keys |= {f"{name}#{number}": (name, number) for number in range(count)}
        return keys

    def _part(self, folder: OwnFolder, name: str, number: int, census: Census) -> np.ndarray:
        rate_hz, samples = self.sample_rate_hz, round(self.clip_s * self.sample_rate_hz)
        part = _whole(folder.root / name, rate_hz)[number * samples : (number + 1) * samples]
        if len(part) < samples - round(_TOLERANCE_S * rate_hz):
            census.count("padded", name)
        return np.pad(part, (0, samples - len(part)))

    def _scene(
        self, folder: OwnFolder, keys: Mapping[str, tuple[str, int]], census: Census, key: str
    ) -> dict[str, Any]:
        name, number = keys[key]
        scene = self.labels.scenes.index(class_of(name))
        return clips.scene_example(self._part(folder, name, number, census), scene, "", recording=name, filename=key)

    def _event(
        self,
        folder: OwnFolder,
        keys: Mapping[str, tuple[str, int]],
        made: Mapping[str, int],
        mixer: Mixer | None,
        census: Census,
        key: str,
    ) -> dict[str, Any]:
        if mixer is not None and key in made:
            audio, events = mixer.clip(made[key])
        else:
            name, number = keys[key]
            audio = self._part(folder, name, number, census)
            first_s = number * self.clip_s
            moved = [
                each._replace(onset_s=each.onset_s - first_s, offset_s=each.offset_s - first_s)
                for each in folder.events.get(name, ())
                if each.onset_s < first_s + self.clip_s and each.offset_s > first_s
            ]
            events = clips.fit_events(moved, self.clip_s, Census())  # what is cut here goes on in the next clip
        return clips.event_example(self.labels, audio, events, (), filename=key)


@functools.lru_cache(maxsize=2)
def _whole(path: Path, rate_hz: int) -> np.ndarray:
    """A recording: int16 [samples]. Its clips are made one after the other."""
    return np.concatenate([to_int16(block) for block in mono_blocks(path, rate_hz)])
