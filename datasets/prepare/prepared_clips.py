"""Clips of a prepared split, read one by one in an order that is always the same, at any rate."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import tensorflow_datasets as tfds

from keras_mtl.datasets.audio import SAMPLE_RATE_HZ
from keras_mtl.datasets.audio import files as audio_files
from keras_mtl.datasets.prepare.census import Census
from keras_mtl.datasets.prepare.local_builder import LocalBuilder
from keras_mtl.datasets.prepare.preparation import quiet

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
