"""Opening data for training and evaluation: a user's folders or the embedded sounds, prepared once by TFDS."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow_datasets as tfds

from keras_mtl.datasets import audio_files, layout
from keras_mtl.datasets.audio_files import SAMPLE_RATE_HZ
from keras_mtl.datasets.census import Census
from keras_mtl.datasets.desed.desed_dataset_builder import Builder as Desed
from keras_mtl.datasets.local_builder import LocalBuilder, RateConfig, rate_config
from keras_mtl.datasets.preparation import censuses, prepared, quiet
from keras_mtl.datasets.soundscapes.soundscapes_dataset_builder import Builder as Soundscapes
from keras_mtl.datasets.soundscapes.soundscapes_dataset_builder import fingerprint
from keras_mtl.datasets.tau_urban_acoustic_scenes_2022_mobile import (
    tau_urban_acoustic_scenes_2022_mobile_dataset_builder as tau,
)
from keras_mtl.datasets.workers import Workers, in_turn
from keras_mtl.errors import DataError

#: The word that stands for the embedded data wherever a data folder is expected.
EMBEDDED = "soundscapes"

#: Folder of the cache that remembers the recordings' digests.
DIGESTS = "digests"
#: Of TAU's splits those that are trained and scored on: the others hold the same clips once more.
_SCENE_SPLITS = ("train", "test")
#: Clips. By itself TensorFlow reads ahead as far as it has time for: hundreds of clips.
_READ_AHEAD = 8


@dataclass(frozen=True)
class Clips:
    """One split of one data set, read through TFDS.

    Iterating gives NumPy examples in an order that is always the same: that of TFDS, which mixes the clips by a hash
    of their names.

    Attributes:
        name: data set and split, such as "desed/validation".
        count: number of clips.
        census: what was found when the split was prepared (missing files, padded clips ...).
        builder: the TFDS builder, prepared.
        sample_rate_hz: samples per second of the clips; where the builder's are others, they are resampled.
    """

    name: str
    count: int
    census: Census
    builder: LocalBuilder = field(repr=False, compare=False)
    sample_rate_hz: int = SAMPLE_RATE_HZ

    def __len__(self) -> int:
        return self.count

    def __iter__(self) -> Iterator[dict[str, Any]]:
        """Gives all clips as dictionaries of NumPy arrays, `int` and `str`.

        A scene clip: `audio` int16 [one second], `scene` (index in `labels.SCENES`), `device`, `recording`, `filename`.
        An event clip: `audio` int16 [ten seconds], `events` {`onset_s`, `offset_s` float32 [n], `label` int64 [n]},
        `weak` int64 [10], `filename`. Audio is at `sample_rate_hz`, full scale 32768.
        """
        return self.between(0, self.count)

    @property
    def clip_s(self) -> float:
        """Seconds of a clip."""
        return float(self.builder.info.features["audio"].shape[0] / self.builder.sample_rate_hz)

    def between(self, first: int, last: int) -> Iterator[dict[str, Any]]:
        """Gives the clips of these numbers, as iterating does; what lies before them is passed over unread."""
        split = self.name.partition("/")[2]
        with quiet():
            dataset = self.builder.as_dataset(
                split=f"{split}[{first}:{last}]",
                shuffle_files=False,
                read_config=tfds.ReadConfig(interleave_cycle_length=1, try_autocache=False, skip_prefetch=True),
            )
        for example in tfds.as_numpy(dataset.prefetch(_READ_AHEAD)):
            clip = {key: _plain(value) for key, value in example.items()}
            yield clip | {"audio": _resampled(clip["audio"], self.builder.sample_rate_hz, self.sample_rate_hz)}


@dataclass(frozen=True)
class Corpus:
    """The data of both tasks.

    Attributes:
        name: "soundscapes", or the folder's name.
        fingerprint: sha256 over names and content of tables and recordings, or over the generator's version, seed and
            sizes.
        scenes: clips of "train" and "test"; empty when the folder holds no scene data.
        events: clips of those that are there of "strong_real", "strong_synthetic", "synthetic_validation", "weak",
            "unlabelled", "validation".
        sample_rate_hz: samples per second of all clips. The fingerprint is the same at every rate.
    """

    name: str
    fingerprint: str
    scenes: dict[str, Clips]
    events: dict[str, Clips]
    sample_rate_hz: int = SAMPLE_RATE_HZ

    @property
    def stamp(self) -> dict[str, str]:
        """What runs and scores say of their data: {"name", "fingerprint"}."""
        return {"name": self.name, "fingerprint": self.fingerprint}


def open_corpus(
    data: str | Path,
    cache: Path | None = None,
    progress: bool = True,
    sample_rate_hz: int = SAMPLE_RATE_HZ,
    workers: Workers = in_turn,
    beam: Any = None,
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

    Raises:
        DataError: no such folder, nothing usable in it, a bad table, or a recording that can't be read.
    """
    cache = Path(cache or os.environ.get("KERAS_MTL_CACHE") or Path.home() / ".cache" / "keras_mtl" / "tfds")
    how = {"progress": progress, "workers": workers, "beam": beam}
    word, _, size = str(data).partition(":")
    if sample_rate_hz < 1:
        raise DataError(f"clips at {sample_rate_hz} Hz can't be made")
    if word == EMBEDDED:
        return _open_embedded(size or "full", cache, sample_rate_hz, how)
    return _open_folder(layout.require_folder(Path(data)), cache, sample_rate_hz, how)


def _open_embedded(size: str, cache: Path, sample_rate_hz: int, how: dict[str, Any]) -> Corpus:
    configs = {config.name: config for config in Soundscapes.BUILDER_CONFIGS}
    sizes = sorted({name.partition("_")[2] for name in configs})
    if size not in sizes:
        raise DataError(f'no embedded data "{EMBEDDED}:{size}"', hint=f"sizes are {', '.join(sizes)}")
    chosen = [configs[f"scenes_{size}"], configs[f"events_{size}"]]
    total = fingerprint(chosen)
    scenes, events = (
        _splits(prepared(Soundscapes, _home(cache, fingerprint([config])), config=config, **how), sample_rate_hz)
        for config in chosen
    )
    return Corpus(EMBEDDED, total, scenes, events, sample_rate_hz)


def _open_folder(folder: Path, cache: Path, sample_rate_hz: int, how: dict[str, Any]) -> Corpus:
    tau_root, desed_root = layout.find_tau(folder), layout.find_desed(folder)
    fingerprints = []
    scenes: dict[str, Clips] = {}
    events: dict[str, Clips] = {}
    if tau_root is not None:
        fingerprints.append(layout.tau_fingerprint(tau_root, cache / DIGESTS, how["progress"]))
        config = config_of(tau.Builder, sample_rate_hz)
        tau_builder = prepared(tau.Builder, _home(cache, fingerprints[-1]), tau_root, config, **how)
        scenes = _splits(tau_builder, sample_rate_hz)
    if desed_root is not None:
        fingerprints.append(layout.desed_fingerprint(desed_root, cache / DIGESTS, how["progress"]))
        config = config_of(Desed, sample_rate_hz)
        desed_builder = prepared(Desed, _home(cache, fingerprints[-1]), desed_root, config, **how)
        events = _splits(desed_builder, sample_rate_hz)
    if not fingerprints:
        raise layout.no_data_set(folder)
    return Corpus(folder.resolve().name, layout.joined_fingerprint(fingerprints), scenes, events, sample_rate_hz)


def config_of(builder_class: type[LocalBuilder], sample_rate_hz: int) -> RateConfig | None:
    """The configuration that a folder's data set is prepared in: its rate, and the splits that are used."""
    return rate_config(sample_rate_hz, _SCENE_SPLITS if builder_class is tau.Builder else ())


def _splits(builder: LocalBuilder, sample_rate_hz: int) -> dict[str, Clips]:
    census = censuses(builder)
    return {
        name: Clips(f"{builder.name}/{name}", split.num_examples, census[name], builder, sample_rate_hz)
        for name, split in builder.info.splits.items()
    }


def _home(cache: Path, content: str) -> Path:
    return cache / content[:24]


def _resampled(audio: np.ndarray, rate_hz: int, sample_rate_hz: int) -> np.ndarray:
    """int16 samples [n] of one rate at another: int16 [n x sample_rate_hz / rate_hz]."""
    if rate_hz == sample_rate_hz:
        return audio
    samples = round(len(audio) * sample_rate_hz / rate_hz)
    floats = audio_files.to_mono(audio[:, None].astype(np.float32) / 32768.0, rate_hz, sample_rate_hz)[:samples]
    return audio_files.to_int16(np.pad(floats, (0, samples - len(floats))))


def _plain(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.decode("utf-8")
    return int(value) if getattr(value, "shape", None) == () else value
