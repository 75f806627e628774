"""What a teacher's model gives for clips: computed once, in a process of its own, and kept in the cache.

Audio goes to the process a shard at a time, as a file. A model that crashes costs its process and gives one line.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from keras_mtl.core import DataError, EngineCrash, EngineTimeout, run_isolated
from keras_mtl.datasets.mixing import MixedClips
from keras_mtl.datasets.prepare import Clips, Workers, in_turn
from keras_mtl.features import Batches, MappedLogMel, Rows, open_shards, split_folder
from keras_mtl.teachers.settings import TeacherSettings
from keras_mtl.teachers.windows import window_count

SCHEMA = "keras_mtl.heard/1"
_WORKER = "keras_mtl.teachers.worker"
_SHARD_SECONDS = 1000
_BATCH_SECONDS = 100
_ROWS = 64
# A process that takes longer than its start and this for a window is taken to hang.
_START_S, _WINDOW_S = 300, 20


@dataclass(frozen=True)
class Heard:
    """A teacher's outputs for the clips of a split.

    Attributes:
        embeddings: float16 [clips, windows, D].
        scores: float16 [clips, windows, S], probabilities of the teacher's classes; None where it has none.
        labels: what is known of each clip beside its audio, such as `filename`, `scene`, `recording`, `events`.
        hop_s: seconds from window to window.
    """

    embeddings: MappedLogMel
    scores: MappedLogMel | None
    labels: Rows
    hop_s: float

    def __len__(self) -> int:
        return len(self.labels)


def hear(
    clips: Clips | MixedClips, key: str, teacher: TeacherSettings, cache: Path, workers: Workers = in_turn
) -> Heard:
    """A teacher's outputs for a split; what is not in the cache is computed first.

    Args:
        clips: the split, in an order that is always the same, at the teacher's rate.
        key: of the data that it is made from, and of their labels (`Corpus.key`).
        teacher: the teacher.
        cache: the folder that `--cache` of the commands names.
        workers: who computes.

    Raises:
        DataError: the clips are at another rate, or the outputs are no numbers.
        EngineError: the model can't be used, or its process died.
    """
    if clips.sample_rate_hz != teacher.sample_rate_hz:
        rates = f"takes {teacher.sample_rate_hz:,} Hz, and {clips.name} is at {clips.sample_rate_hz:,} Hz"
        raise DataError(f"{teacher.name} {rates}", hint="open the data at the teacher's rate")
    length = hashlib.sha256(json.dumps([teacher.digest, clips.clip_s]).encode()).hexdigest()[:12]
    folder = cache / "teachers" / key[:16] / length / split_folder(clips)
    opened = open_shards(clips, _Computation(teacher, _SHARD_SECONDS), folder, workers)
    return Heard(opened.arrays[0], opened.arrays[1] if teacher.scores != "" else None, opened.labels, teacher.hop_s)


def model_outputs(teacher: TeacherSettings) -> list[tuple[str, int]]:
    """Name and number of values of each output of a teacher's model.

    Raises:
        EngineError: the model can't be read, or takes other windows.
    """
    return [(name, size) for name, size in _run(teacher, "", "", _START_S)["outputs"]]


@dataclass(frozen=True)
class _Computation:
    """A teacher's outputs for batches of examples: see `features.open_shards`."""

    teacher: TeacherSettings
    shard_seconds: float
    what = "teacher"
    schema = SCHEMA
    batch_seconds = _BATCH_SECONDS

    @property
    def names(self) -> tuple[str, ...]:
        return ("embedding", "scores") if self.teacher.scores != "" else ("embedding",)

    def __call__(self, batches: Batches) -> Iterator[tuple[Rows, tuple[np.ndarray, ...]]]:
        with tempfile.TemporaryDirectory(prefix="keras_mtl_") as folder:
            audio, labels = Path(folder, "audio.npy"), []
            with audio.open("wb") as file:
                file.write(bytes(_HEADER_BYTES))
                shape, kind = (0,), np.dtype(np.int16)
                for batch in batches:
                    samples = np.stack([example["audio"] for example in batch])
                    kind, shape = samples.dtype, samples.shape[1:]
                    file.write(samples.data)
                    labels += [_labels(example) for example in batch]
                if not labels:
                    return
                file.seek(0)
                file.write(_header(kind, (len(labels), *shape)))
            count = window_count(shape[0], self.teacher) * len(labels)
            _run(self.teacher, str(audio), folder, _START_S + _WINDOW_S * count)
            arrays = [np.load(Path(folder, f"{name}.npy"), mmap_mode="r") for name in self.names]
            for first in range(0, len(labels), _ROWS):
                part = slice(first, first + _ROWS)
                rows = labels[part]
                found = tuple(np.ascontiguousarray(array[part]) for array in arrays)
                self._require_numbers(rows, found)
                yield rows, found

    def _require_numbers(self, rows: Rows, arrays: tuple[np.ndarray, ...]) -> None:
        for name, array in zip(self.names, arrays, strict=True):
            bad = np.flatnonzero(~np.isfinite(array).all(axis=(1, 2)))
            if len(bad):
                clip = rows[int(bad[0])].get("filename") or "a clip"
                raise DataError(f"{self.teacher.name}: its {name} of {clip} is no number, or beyond 16 bits")
        if "scores" in self.names and not (arrays[1].min() >= 0 and arrays[1].max() <= 1):
            between = f"between {arrays[1].min():.3g} and {arrays[1].max():.3g}"
            hint = "name an output behind its sigmoid or softmax, or none"
            raise DataError(f"{self.teacher.name}: its scores lie {between}: they are no probabilities", hint=hint)


_HEADER_BYTES = 128


def _header(kind: np.dtype, shape: tuple[int, ...]) -> bytes:
    """The head of a .npy file whose shape is known at its end only, padded to one length."""
    text = repr({"descr": kind.str, "fortran_order": False, "shape": shape}).ljust(_HEADER_BYTES - 11) + "\n"
    return b"\x93NUMPY\x01\x00" + (len(text)).to_bytes(2, "little") + text.encode()


def _run(teacher: TeacherSettings, audio: str, out: str, timeout_s: float) -> dict[str, Any]:
    try:
        return run_isolated(_WORKER, {"teacher": asdict(teacher), "audio": audio, "out": out}, timeout_s)
    except EngineCrash as error:
        raise EngineCrash(error.message.replace(_WORKER, f"the process of {teacher.name}")) from None
    except EngineTimeout as error:
        raise EngineTimeout(error.message.replace(_WORKER, f"the process of {teacher.name}")) from None


def _labels(example: dict[str, Any]) -> dict[str, Any]:
    return {key: _plain(value) for key, value in example.items() if key != "audio"}


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(inner) for key, inner in value.items()}
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    return [_plain(inner) for inner in value] if isinstance(value, list | tuple) else value
