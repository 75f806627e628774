"""The cache of log-mel: shards computed once, verified when they are opened, and mapped into memory.

A split lies in a folder of its own, named by the corpus's key (data and labels), the features' settings and the length
of the clips. Shard k is two files: `levels-k.npy`, float16 dB before the normalisation, and `levels-k.json` with its
clips' labels and the sha256 over both, written last. So a shard is there whole or not at all, and whatever interrupts a
preparation costs one shard.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import logging
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from keras_mtl.core import DataError, LogMelSettings, files
from keras_mtl.datasets.mixing import MixedClips
from keras_mtl.datasets.prepare import Clips, Workers, in_turn
from keras_mtl.features.arrays import MappedLogMel
from keras_mtl.features.log_mel import LogMel

SCHEMA = "keras_mtl.levels/1"
_SHARD_SECONDS = 2000
_BATCH_SECONDS = 80
_log = logging.getLogger("keras_mtl")


@dataclass(frozen=True)
class Shard:
    """Clips `first` to `last` of a split, as a task that any process can do.

    Attributes:
        clips: the split.
        settings: the features.
        folder: where the shards of the split lie.
        number: which shard it is.
        first, last: its clips.
    """

    clips: Clips | MixedClips
    settings: LogMelSettings
    folder: Path
    number: int
    first: int
    last: int

    def __len__(self) -> int:
        return self.last - self.first

    @property
    def array(self) -> Path:
        """The file of its log-mel."""
        return self.folder / f"levels-{self.number:05d}.npy"

    @property
    def facts(self) -> Path:
        """The file of its labels and its checksum."""
        return self.folder / f"levels-{self.number:05d}.json"

    def open(self) -> tuple[np.ndarray, list[dict[str, Any]]] | None:
        """Log-mel, mapped into memory, and labels; None where they are not there, or not as they were written."""
        if not self.facts.is_file():
            return None
        try:
            facts = json.loads(self.facts.read_bytes())
            log_mel = np.load(self.array, mmap_mode="r")
            checksum = _checksum(self.array, log_mel.offset, facts["labels"])
            whole = len(log_mel) == len(self) and checksum == facts["sha256"]
        except (OSError, ValueError, KeyError, TypeError, AttributeError, EOFError):
            whole = False
        if whole:
            return np.asarray(log_mel), facts["labels"]
        _log.warning("%s is damaged: it is computed anew", self.array)
        return None


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
    clips: Clips | MixedClips, key: str, settings: LogMelSettings, cache: Path, workers: Workers = in_turn
) -> Opened:
    """Opens a split's log-mel; what is not there, or not as it was written, is computed first.

    Args:
        clips: the split, in an order that is always the same.
        key: of the data that it is made from, and of their labels (`Corpus.key_of`).
        settings: the features' settings.
        cache: where features are kept.
        workers: who computes.

    Raises:
        DataError: the cache can't be written, or the clips can't be read.
    """
    name = clips.name.replace("/", "_").replace(":", "_")
    folder = cache / "log_mel" / key[:16] / _digest(settings, clips.clip_s) / name
    shards = _shards(clips, settings, folder)
    found = [shard.open() for shard in shards]
    computed = 0
    if None in found:
        try:
            with files.one_at_a_time(folder, lambda: _print_waiting(folder)) as lock:
                if lock is not None:
                    _remove_left_over(folder)
                # Another process may have been at work until now.
                found = [opened or shard.open() for opened, shard in zip(found, shards, strict=True)]
                missing = [shard for shard, opened in zip(shards, found, strict=True) if opened is None]
                computed = len(missing)
                _compute_all(clips, missing, workers)
        except OSError as error:
            raise DataError(
                f"features can't be written to {folder}: {error.strerror or error}",
                hint="set KERAS_MTL_CACHE to a folder with space; what is done is kept",
            ) from error
        found = [opened or shard.open() for opened, shard in zip(found, shards, strict=True)]
    whole = [opened for opened in found if opened is not None]
    if len(whole) != len(shards):
        raise DataError(f"{folder} is not as it was written a moment ago", hint="is the disk in order?")
    return Opened(
        MappedLogMel([part for part, _ in whole]), [row for _, rows in whole for row in rows], len(shards), computed
    )


def _shards(clips: Clips | MixedClips, settings: LogMelSettings, folder: Path) -> list[Shard]:
    size = max(1, int(_SHARD_SECONDS // clips.clip_s))
    firsts = range(0, clips.count, size)
    return [Shard(clips, settings, folder, k, first, min(first + size, clips.count)) for k, first in enumerate(firsts)]


def _digest(settings: LogMelSettings, clip_s: float) -> str:
    """Stands for the features before their normalisation, of clips of one length."""
    definition = {**settings.normalised(0.0, 1.0).to_dict(), "clip_s": clip_s}
    # What was computed before there were these settings is still right.
    for key, usual in (("fft", settings.window), ("keep_last_frame", False)):
        if definition[key] == usual:
            del definition[key]
    return hashlib.sha256(json.dumps(definition, sort_keys=True).encode()).hexdigest()[:12]


def _compute_all(clips: Clips | MixedClips, missing: Sequence[Shard], workers: Workers) -> None:
    total = sum(len(shard) for shard in missing)
    with tqdm(total=total, desc=f"log-mel {clips.name}", unit=" clips", file=sys.stderr, disable=None) as bar:
        for count in workers(compute_shard, missing):
            bar.update(count)


def compute_shard(shard: Shard) -> int:
    """Computes a shard and writes it; gives the number of its clips. Memory: a batch of audio, and its log-mel.

    Raises:
        DataError: the split has fewer clips than it announced.
        OSError: the shard can't be written. Nothing of it is left.
    """
    compute = LogMel(shard.settings)
    labels: list[dict[str, Any]] = []
    shard.folder.mkdir(parents=True, exist_ok=True)
    shard.facts.unlink(missing_ok=True)
    checksum = hashlib.sha256()
    with files.new_file(shard.array) as file:
        for batch in _batches(shard.clips.between(shard.first, shard.last), shard.clips):
            log_mel = compute(np.stack([example["audio"] for example in batch])).astype(np.float16)
            if not labels:
                shape = (len(shard), *log_mel.shape[1:])
                header = {"descr": log_mel.dtype.str, "fortran_order": False, "shape": shape}
                np.lib.format.write_array_header_1_0(file, header)
            labels += [_labels(example) for example in batch]
            checksum.update(log_mel.data)
            file.write(log_mel.data)
        if len(labels) != len(shard):
            raise DataError(f"{shard.clips.name}: {len(labels)} clips came where {len(shard)} were announced")
    checksum.update(_as_bytes(labels))
    files.write_json(shard.facts, {"schema": SCHEMA, "sha256": checksum.hexdigest(), "labels": labels})
    return len(shard)


def _checksum(path: Path, offset: int, labels: list[dict[str, Any]]) -> str:
    """Over what lies behind the header, read and not mapped: pages of a map count as the process's memory."""
    with path.open("rb") as file:
        file.seek(offset)
        checksum = hashlib.file_digest(file, "sha256")
    checksum.update(_as_bytes(labels))
    return checksum.hexdigest()


def _as_bytes(labels: list[dict[str, Any]]) -> bytes:
    return json.dumps(labels, sort_keys=True).encode()


def _batches(examples: Iterator[dict[str, Any]], clips: Clips | MixedClips) -> Iterator[list[dict[str, Any]]]:
    size = max(1, int(_BATCH_SECONDS // clips.clip_s))
    while batch := list(itertools.islice(examples, size)):
        yield batch


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


def _remove_left_over(folder: Path) -> None:
    """Removes what a killed process left half-written, or an earlier version whole: nobody else is at work here now."""
    for path in (*files.left_over(folder, "levels-*"), folder / "levels.npy", folder / "labels.json"):
        path.unlink(missing_ok=True)


def _print_waiting(folder: Path) -> None:
    print(f"another process computes features in {folder}: waiting for it", file=sys.stderr)
