"""Arrays that are computed once for every clip of a split: in shards, verified when opened, and mapped into memory.

Shard k is a file an array, such as `levels-k.npy`, and `levels-k.json` with its clips' labels and the sha256 over all
of it, written last. So a shard is there whole or not at all, and whatever interrupts the work costs one shard.
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import json
import logging
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from tqdm import tqdm

from keras_mtl.core import DataError, files
from keras_mtl.datasets.mixing import MixedClips
from keras_mtl.datasets.prepare import Clips, Workers, in_turn
from keras_mtl.features.arrays import MappedLogMel

Batches = Iterator[list[dict[str, Any]]]
Rows = list[dict[str, Any]]
_log = logging.getLogger("keras_mtl")


class Computation(Protocol):
    """How the arrays of a shard are computed; such as can be sent to another process.

    Attributes:
        what: it computes, for the progress bar.
        schema: of the files.
        names: what the files of each array are called; the first one names that of the labels, too.
        shard_seconds, batch_seconds: audio of a shard, and of what lies in memory at a time.
    """

    @property
    def what(self) -> str: ...  # noqa: D102

    @property
    def schema(self) -> str: ...  # noqa: D102

    @property
    def names(self) -> tuple[str, ...]: ...  # noqa: D102

    @property
    def shard_seconds(self) -> float: ...  # noqa: D102

    @property
    def batch_seconds(self) -> float: ...  # noqa: D102

    def __call__(self, batches: Batches) -> Iterator[tuple[Rows, tuple[np.ndarray, ...]]]:
        """Takes examples of a shard in batches; gives the labels of some, and their rows of each array."""


@dataclass(frozen=True)
class Shard:
    """Clips `first` to `last` of a split, as a task that any process can do.

    Attributes:
        clips: the split.
        compute: what computes the arrays.
        folder: where the shards of the split lie.
        number: which shard it is.
        first, last: its clips.
    """

    clips: Clips | MixedClips
    compute: Computation
    folder: Path
    number: int
    first: int
    last: int

    def __len__(self) -> int:
        return self.last - self.first

    @property
    def arrays(self) -> list[Path]:
        """The files of its arrays."""
        return [self.folder / f"{name}-{self.number:05d}.npy" for name in self.compute.names]

    @property
    def facts(self) -> Path:
        """The file of its labels and its checksum."""
        return self.arrays[0].with_suffix(".json")

    def open(self) -> tuple[list[np.ndarray], Rows] | None:
        """Arrays, mapped into memory, and labels; None where they are not there, or not as they were written."""
        if not self.facts.is_file():
            return None
        try:
            facts = json.loads(self.facts.read_bytes())
            arrays = [np.load(path, mmap_mode="r") for path in self.arrays]
            sums = [_sum_of_file(path, array.offset) for path, array in zip(self.arrays, arrays, strict=True)]
            whole = (
                all(len(array) == len(self) for array in arrays) and _joined(sums, facts["labels"]) == facts["sha256"]
            )
        except (OSError, ValueError, KeyError, TypeError, AttributeError, EOFError):
            whole = False
        if whole:
            return [np.asarray(array) for array in arrays], facts["labels"]
        _log.warning("%s is damaged: it is computed anew", self.arrays[0])
        return None


@dataclass(frozen=True)
class OpenedShards:
    """A split's arrays and labels, and how much of it had to be computed.

    Attributes:
        arrays: rows [clips, ...] of each array.
        labels: a row a clip.
        shards, computed: shards of the split, and those that were not there, or damaged.
    """

    arrays: tuple[MappedLogMel, ...]
    labels: Rows
    shards: int
    computed: int


def split_folder(clips: Clips | MixedClips) -> str:
    """What the folder of a split is called."""
    return clips.name.replace("/", "_").replace(":", "_")


def open_shards(
    clips: Clips | MixedClips,
    compute: Computation,
    folder: Path,
    workers: Workers = in_turn,
    obsolete: Sequence[str] = (),
) -> OpenedShards:
    """Opens a split's arrays; what is not there, or not as it was written, is computed first.

    Args:
        clips: the split, in an order that is always the same.
        compute: what computes them.
        folder: where they lie; its path must stand for all that they depend on.
        workers: who computes.
        obsolete: files of earlier versions, which are removed.

    Raises:
        DataError: the cache can't be written, or the clips can't be read.
    """
    size = max(1, int(compute.shard_seconds // clips.clip_s))
    firsts = range(0, clips.count, size)
    shards = [Shard(clips, compute, folder, k, first, min(first + size, clips.count)) for k, first in enumerate(firsts)]
    found = [shard.open() for shard in shards]
    computed = 0
    if None in found:
        try:
            with files.one_at_a_time(folder, lambda: _print_waiting(folder)) as lock:
                if lock is not None:
                    _remove_left_over(folder, compute.names, obsolete)
                # Another process may have been at work until now.
                found = [opened or shard.open() for opened, shard in zip(found, shards, strict=True)]
                missing = [shard for shard, opened in zip(shards, found, strict=True) if opened is None]
                computed = len(missing)
                _compute_all(clips, compute.what, missing, workers)
        except OSError as error:
            raise DataError(
                f"features can't be written to {folder}: {error.strerror or error}",
                hint="set KERAS_MTL_CACHE to a folder with space; what is done is kept",
            ) from error
        found = [opened or shard.open() for opened, shard in zip(found, shards, strict=True)]
    whole = [opened for opened in found if opened is not None]
    if len(whole) != len(shards):
        raise DataError(f"{folder} is not as it was written a moment ago", hint="is the disk in order?")
    columns = zip(*(arrays for arrays, _ in whole), strict=True)
    return OpenedShards(
        tuple(MappedLogMel(parts) for parts in columns),
        [row for _, rows in whole for row in rows],
        len(shards),
        computed,
    )


def compute_shard(shard: Shard) -> int:
    """Computes a shard and writes it; gives the number of its clips. Memory: what the computation holds at a time.

    Raises:
        DataError: the split has fewer clips than it announced.
        OSError: the shard can't be written. Nothing of it is left.
    """
    labels: Rows = []
    shard.folder.mkdir(parents=True, exist_ok=True)
    shard.facts.unlink(missing_ok=True)
    sums = [hashlib.sha256() for _ in shard.arrays]
    with contextlib.ExitStack() as stack:
        out = [stack.enter_context(files.new_file(path)) for path in shard.arrays]
        for rows, arrays in shard.compute(_batches(shard)):
            for file, checksum, array in zip(out, sums, arrays, strict=True):
                if not labels:
                    shape = (len(shard), *array.shape[1:])
                    header = {"descr": array.dtype.str, "fortran_order": False, "shape": shape}
                    np.lib.format.write_array_header_1_0(file, header)
                checksum.update(array.data)
                file.write(array.data)
            labels += rows
        if len(labels) != len(shard):
            raise DataError(f"{shard.clips.name}: {len(labels)} clips came where {len(shard)} were announced")
    files.write_json(shard.facts, {"schema": shard.compute.schema, "sha256": _joined(sums, labels), "labels": labels})
    return len(shard)


def _batches(shard: Shard) -> Batches:
    examples, size = shard.clips.between(shard.first, shard.last), shard.compute.batch_seconds // shard.clips.clip_s
    while batch := list(itertools.islice(examples, max(1, int(size)))):
        yield batch


def _compute_all(clips: Clips | MixedClips, what: str, missing: Sequence[Shard], workers: Workers) -> None:
    total = sum(len(shard) for shard in missing)
    with tqdm(total=total, desc=f"{what} {clips.name}", unit=" clips", file=sys.stderr, disable=None) as bar:
        for count in workers(compute_shard, missing):
            bar.update(count)


def _sum_of_file(path: Path, offset: int) -> Any:
    """Of what lies behind the header, read and not mapped: pages of a map count as the process's memory."""
    with path.open("rb") as file:
        file.seek(offset)
        return hashlib.file_digest(file, "sha256")


def _joined(sums: Sequence[Any], labels: Rows) -> str:
    """One checksum: the first array's, going on with those of the others and with the labels. It uses `sums` up."""
    first, *others = sums
    for other in others:
        first.update(other.digest())
    first.update(json.dumps(labels, sort_keys=True).encode())
    return first.hexdigest()


def _remove_left_over(folder: Path, names: Sequence[str], obsolete: Sequence[str]) -> None:
    """Removes what a killed process left half-written, or an earlier version whole: nobody else is at work here now."""
    half_written = (path for name in names for path in files.left_over(folder, f"{name}-*"))
    for path in (*half_written, *(folder / name for name in obsolete)):
        path.unlink(missing_ok=True)


def _print_waiting(folder: Path) -> None:
    print(f"another process computes features in {folder}: waiting for it", file=sys.stderr)
