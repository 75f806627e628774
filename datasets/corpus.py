"""Opening data for training and evaluation: a user's folders or the embedded sounds, prepared once by TFDS."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from keras_mtl.core import DataError
from keras_mtl.datasets.audio import SAMPLE_RATE_HZ, layout
from keras_mtl.datasets.desed.desed_dataset_builder import Builder as Desed
from keras_mtl.datasets.prepare import (
    Clips,
    LocalBuilder,
    RateConfig,
    Workers,
    censuses,
    in_turn,
    prepared,
    quiet,
    rate_config,
)
from keras_mtl.datasets.soundscapes.soundscapes_dataset_builder import Builder as Soundscapes
from keras_mtl.datasets.soundscapes.soundscapes_dataset_builder import fingerprint
from keras_mtl.datasets.tables import PERCENTS, WHOLE, require_subset, used_splits
from keras_mtl.datasets.tau_urban_acoustic_scenes_2022_mobile import (
    tau_urban_acoustic_scenes_2022_mobile_dataset_builder as tau,
)

#: The word that stands for the embedded data wherever a data folder is expected.
EMBEDDED = "soundscapes"

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
            "unlabelled", "validation".
        sample_rate_hz: samples per second of all clips. The fingerprint is the same at every rate.
        scene_subset: how much of TAU's training split "train" is, in per cent. The fingerprint is the same for each.
        parts: the fingerprint of each data set in a folder.
    """

    name: str
    fingerprint: str
    scenes: dict[str, Clips]
    events: dict[str, Clips]
    sample_rate_hz: int = SAMPLE_RATE_HZ
    scene_subset: int = WHOLE
    parts: dict[str, str] = field(default_factory=dict)

    @property
    def stamp(self) -> dict[str, str]:
        """How runs and scores name their data: {"name", "fingerprint"}."""
        return {"name": self.name, "fingerprint": self.fingerprint}


def open_corpus(
    data: str | Path,
    cache: Path | None = None,
    progress: bool = True,
    sample_rate_hz: int = SAMPLE_RATE_HZ,
    workers: Workers = in_turn,
    beam: Any = None,
    scene_subset: int | None = WHOLE,
    accept: Accept = lambda fingerprint, parts: None,
) -> Corpus:
    """Opens a data folder, and prepares it on the first time at this rate.

    Args:
        data: "soundscapes" (the embedded data; "soundscapes:tiny" is a few clips of them), or a folder that is or holds
            the TAU development set (`TAU-urban-acoustic-scenes-2022-mobile-development/`) and / or DESED (`desed/`).
            It is only read, never written to.
        cache: where prepared data are kept; else the environment's KERAS_MTL_CACHE, else `~/.cache/keras_mtl/tfds`.
        progress: whether to show a progress bar on stderr while preparing.
        sample_rate_hz: samples per second of the clips: that of the features they are for. Recordings of a folder are
            resampled from the files to this rate. The embedded data are synthesised at 16 kHz and resampled from
            that: at a higher rate there is nothing above 8 kHz in them.
        workers: who reads and resamples recordings.
        beam: options of an Apache Beam pipeline that does it instead of them (see `workers.beam_options`), or None.
        scene_subset: how much of TAU's training split is "train", in per cent: one of `tables.PERCENTS`. None is
            for scoring: the scenes are "test" alone, of whatever part was prepared before, or else of all.
        accept: called with the corpus's `fingerprint` and `parts` before anything is prepared; may raise.

    Raises:
        DataError: no such folder, nothing usable in it, a bad table, a recording that can't be read, or no table of
            the part.
    """
    cache = Path(cache or os.environ.get("KERAS_MTL_CACHE") or Path.home() / ".cache" / "keras_mtl" / "tfds")
    how = {"progress": progress, "workers": workers, "beam": beam}
    word, _, size = str(data).partition(":")
    if sample_rate_hz < 1:
        raise DataError(f"clips at {sample_rate_hz} Hz can't be made")
    if word == EMBEDDED:
        require_subset(WHOLE if scene_subset is None else scene_subset, None, EMBEDDED)
        return _open_embedded(size or "full", cache, sample_rate_hz, accept, how)
    return _open_folder(layout.require_folder(Path(data)), cache, sample_rate_hz, scene_subset, accept, how)


def _open_embedded(size: str, cache: Path, sample_rate_hz: int, accept: Accept, how: dict[str, Any]) -> Corpus:
    configs = {config.name: config for config in Soundscapes.BUILDER_CONFIGS}
    sizes = sorted({name.partition("_")[2] for name in configs})
    if size not in sizes:
        raise DataError(f'no embedded data "{EMBEDDED}:{size}"', hint=f"sizes are {', '.join(sizes)}")
    chosen = [configs[f"scenes_{size}"], configs[f"events_{size}"]]
    total = fingerprint(chosen)
    accept(total, {})
    scenes, events = (
        _splits(prepared(Soundscapes, _home(cache, fingerprint([config])), config=config, **how), sample_rate_hz)
        for config in chosen
    )
    return Corpus(EMBEDDED, total, scenes, events, sample_rate_hz)


def _open_folder(
    folder: Path, cache: Path, sample_rate_hz: int, scene_subset: int | None, accept: Accept, how: dict[str, Any]
) -> Corpus:
    roots = layout.find_sets(folder)
    if scene_subset is not None:
        require_subset(scene_subset, roots.get("tau"), str(folder))
    parts = {name: layout.fingerprint(name, root, cache / DIGESTS, how["progress"]) for name, root in roots.items()}
    total = layout.joined_fingerprint(list(parts.values()))
    accept(total, parts)
    scenes: dict[str, Clips] = {}
    events: dict[str, Clips] = {}
    if "tau" in roots:
        home = _home(cache, parts["tau"])
        part = scene_subset or _prepared_part(home, sample_rate_hz)
        config = config_of(tau.Builder, sample_rate_hz, part)
        found = _splits(prepared(tau.Builder, home, roots["tau"], config, **how), sample_rate_hz)
        training, test = used_splits(part)
        names = {test: "test"} if scene_subset is None else {training: "train", test: "test"}
        scenes = {names[split]: clips for split, clips in found.items() if split in names}
    if "desed" in roots:
        config = config_of(Desed, sample_rate_hz)
        desed_builder = prepared(Desed, _home(cache, parts["desed"]), roots["desed"], config, **how)
        events = _splits(desed_builder, sample_rate_hz)
    return Corpus(folder.resolve().name, total, scenes, events, sample_rate_hz, scene_subset or WHOLE, parts)


def config_of(builder_class: type[LocalBuilder], sample_rate_hz: int, scene_subset: int = WHOLE) -> RateConfig | None:
    """The configuration that a folder's data set is prepared in: its rate, and the splits that are used."""
    return rate_config(sample_rate_hz, used_splits(scene_subset) if builder_class is tau.Builder else ())


def _prepared_part(home: Path, sample_rate_hz: int) -> int:
    """A part of TAU that is prepared already, all of it first; where none is, all."""
    for percent in reversed(PERCENTS):
        with quiet():
            builder = tau.Builder(data_dir=home, config=config_of(tau.Builder, sample_rate_hz, percent))
        if builder.data_path.exists():
            return percent
    return WHOLE


def _splits(builder: LocalBuilder, sample_rate_hz: int) -> dict[str, Clips]:
    census = censuses(builder)
    return {
        name: Clips(f"{builder.name}/{name}", split.num_examples, census[name], builder, sample_rate_hz)
        for name, split in builder.info.splits.items()
    }


def _home(cache: Path, content: str) -> Path:
    return cache / content[:24]
