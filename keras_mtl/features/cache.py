"""The cache of log-mel: shards (see `shards.py`) of float16 dB before the normalisation, with their clips' labels.

A split lies in a folder of its own, named by the corpus's key (data and labels), the features' settings and the length
of the clips.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from keras_mtl.core import LogMelSettings
from keras_mtl.datasets.mixing import MixedClips
from keras_mtl.datasets.prepare import Clips, Workers, in_turn
from keras_mtl.features.arrays import MappedLogMel
from keras_mtl.features.log_mel import FrontEnd, LogMel
from keras_mtl.features.shards import Batches, Rows, open_shards, split_folder

SCHEMA = "keras_mtl.levels/1"
_SHARD_SECONDS = 2000
_BATCH_SECONDS = 80
#: Of an earlier version.
_OBSOLETE = ("levels.npy", "labels.json")


@dataclass(frozen=True)
class _Computation:
    """Log-mel and labels of batches of examples: see `shards.Computation`."""

    settings: LogMelSettings
    shard_seconds: float
    front_end: Callable[[LogMelSettings], FrontEnd]
    what = "log-mel"
    schema = SCHEMA
    names = ("levels",)
    batch_seconds = _BATCH_SECONDS

    def __call__(self, batches: Batches) -> Iterator[tuple[Rows, tuple[np.ndarray, ...]]]:
        compute = self.front_end(self.settings)
        for batch in batches:
            log_mel = compute(np.stack([example["audio"] for example in batch])).astype(np.float16)
            yield [_labels(example) for example in batch], (log_mel,)


@dataclass(frozen=True)
class Opened:
    """A split's log-mel and labels, and how much of it had to be computed.

    Attributes:
        log_mel: float16 [clips, frames, mel_bands], dB.
        labels: a row a clip.
        shards, computed: shards of the split, and those that were not there, or damaged.
    """

    log_mel: MappedLogMel
    labels: list[dict[str, Any]]
    shards: int
    computed: int


def open_log_mel(
    clips: Clips | MixedClips,
    key: str,
    settings: LogMelSettings,
    cache: Path,
    workers: Workers = in_turn,
    front_end: Callable[[LogMelSettings], FrontEnd] = LogMel,
) -> Opened:
    """Opens a split's log-mel; what is not there, or not as it was written, is computed first.

    Args:
        clips: the split, in an order that is always the same.
        key: of the data that it is made from, and of their labels (`Corpus.key_of`).
        settings: the features' settings.
        cache: where features are kept.
        workers: who computes.
        front_end: the class that computes; each has a folder of its own.

    Raises:
        DataError: the cache can't be written, or the clips can't be read.
    """
    folder = cache / "log_mel" / key[:16] / _digest(settings, clips.clip_s, front_end) / split_folder(clips)
    found = open_shards(clips, _Computation(settings, _SHARD_SECONDS, front_end), folder, workers, _OBSOLETE)
    (log_mel,) = found.arrays
    return Opened(log_mel, found.labels, found.shards, found.computed)


def _digest(settings: LogMelSettings, clip_s: float, front_end: Callable[[LogMelSettings], FrontEnd]) -> str:
    """Stands for the features before their normalisation, of clips of one length."""
    definition = {**settings.normalised(0.0, 1.0).to_dict(), "clip_s": clip_s}
    if front_end is not LogMel:
        definition["front_end"] = front_end.__name__
    # What was computed before there were these settings is still right.
    for key, usual in (("fft", settings.window), ("keep_last_frame", False)):
        if definition[key] == usual:
            del definition[key]
    return hashlib.sha256(json.dumps(definition, sort_keys=True).encode()).hexdigest()[:12]


def _labels(example: dict[str, Any]) -> dict[str, Any]:
    if "scene" in example:
        return {"scene": int(example["scene"])} | {k: str(example[k]) for k in ("device", "recording", "filename")}
    events = example["events"]
    rows = zip(events["onset_s"], events["offset_s"], events["label"], strict=True)
    return {
        "filename": str(example["filename"]),
        "events": [[float(on), float(off), int(label)] for on, off, label in rows],
        "weak": [int(v) for v in example["weak"]],
    }
