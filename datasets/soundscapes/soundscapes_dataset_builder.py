"""TFDS builder of the embedded data: scene clips and event clips synthesised from a seed, without any download."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import tensorflow_datasets as tfds

from keras_mtl.core import DCASE, Labels
from keras_mtl.datasets.audio import files as audio_files
from keras_mtl.datasets.prepare import Census, LocalBuilder, Split, clips
from keras_mtl.datasets.soundscapes import events, scenes

#: Numbers that set the splits' random streams apart; never change one.
_STREAMS = {"train": 1, "test": 2, "strong_synthetic": 3, "weak": 4, "unlabelled": 5, "validation": 6}
_PLACES, _CLIPS = 0, 1


@dataclass(eq=False)
class SoundscapesConfig(tfds.core.BuilderConfig):
    """What to synthesise.

    Attributes:
        task: "scenes" (1-s clips) or "events" (10-s clips).
        sizes: clips by split.
        seed: the same seed gives the same bytes.
        labels: the classes, those of DCASE in any order.
        clips_per_place: scene clips that share one recording.
    """

    task: str = "scenes"
    sizes: Mapping[str, int] = field(default_factory=dict)
    seed: int = 2023
    clips_per_place: int = 5
    labels: Labels = DCASE

    def with_labels(self, labels: Labels) -> SoundscapesConfig:
        """The same sounds with other class numbers."""
        return SoundscapesConfig(
            name=f"{self.name}_{labels.digest[:8]}",
            description=self.description,
            task=self.task,
            sizes=self.sizes,
            seed=self.seed,
            clips_per_place=self.clips_per_place,
            labels=labels,
        )


class Builder(LocalBuilder):
    """A small stand-in for both tasks, for demonstrations and tests. It is no measure of anything real."""

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES: ClassVar[dict[str, str]] = {"1.0.0": "First release."}
    BUILDER_CONFIGS: ClassVar[list[SoundscapesConfig]] = [
        SoundscapesConfig(name="scenes_full", description="Scenes.", task="scenes", sizes={"train": 1000, "test": 300}),
        SoundscapesConfig(
            name="scenes_tiny",
            description="A few scenes.",
            task="scenes",
            sizes={"train": 40, "test": 20},
            clips_per_place=2,
        ),
        SoundscapesConfig(
            name="events_full",
            description="Events.",
            task="events",
            sizes={"strong_synthetic": 100, "weak": 40, "unlabelled": 40, "validation": 40},
        ),
        SoundscapesConfig(
            name="events_tiny",
            description="A few events.",
            task="events",
            sizes={"strong_synthetic": 8, "weak": 4, "unlabelled": 4, "validation": 6},
        ),
    ]

    @property
    def clip_seconds(self) -> float:  # type: ignore[override]
        """Seconds of a clip: one of a scene, ten with events."""
        return scenes.SECONDS if self.builder_config.task == "scenes" else events.SECONDS

    def _info(self) -> tfds.core.DatasetInfo:
        of_scenes = self.builder_config.task == "scenes"
        return self.dataset_info_from_configs(
            features=(clips.scene_features if of_scenes else clips.event_features)(
                self.labels, self.clip_s, self.sample_rate_hz
            ),
            metadata=tfds.core.MetadataDict(),
        )

    def plan(self, manual_dir: Path | None) -> dict[str, Split]:
        """See `LocalBuilder.plan`."""
        config = self.builder_config
        synthesise = _scene if config.task == "scenes" else _event
        return {name: _split(config, name, size, synthesise) for name, size in config.sizes.items()}


def fingerprint(configs: list[SoundscapesConfig]) -> str:
    """sha256 over the generator's version and all that its configurations set, but for the labels."""
    settings = [{**asdict(config), "version": str(Builder.VERSION)} for config in configs]
    for each in settings:
        del each["labels"]
    return hashlib.sha256(json.dumps(settings, sort_keys=True, default=str).encode()).hexdigest()


def _split(
    config: SoundscapesConfig, name: str, size: int, synthesise: Callable[[SoundscapesConfig, str, int], dict[str, Any]]
) -> Split:
    keys = [f"{name}-{index:05d}.wav" for index in range(size)]
    place = {key: index for index, key in enumerate(keys)}
    return Split(keys, lambda key: {**synthesise(config, name, place[key]), "filename": key}, Census())


def _scene(config: SoundscapesConfig, split: str, index: int) -> dict[str, Any]:
    number = index // config.clips_per_place
    stream = _STREAMS[split]
    place = scenes.Place.draw(np.random.default_rng([config.seed, stream, _PLACES, number]), number % len(DCASE.scenes))
    rng = np.random.default_rng([config.seed, stream, _CLIPS, index])
    device = str(rng.choice(scenes.TRAIN_DEVICES if split == "train" else scenes.TEST_DEVICES))
    audio = scenes.record(scenes.scene_clip(rng, place), device)
    scene = config.labels.scenes.index(DCASE.scenes[place.scene])
    return clips.scene_example(
        audio_files.to_int16(audio), scene, device, recording=f"{split}-{number:04d}", filename=""
    )


def _event(config: SoundscapesConfig, split: str, index: int) -> dict[str, Any]:
    rng = np.random.default_rng([config.seed, _STREAMS[split], _CLIPS, index])
    audio, labelled = events.event_clip(rng)
    if split == "unlabelled":
        labelled = []
    return clips.event_example(
        config.labels, audio_files.to_int16(audio), labelled, (), filename="", strong=split != "weak"
    )
