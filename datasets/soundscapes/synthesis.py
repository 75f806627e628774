"""Writes soundscapes of a bank as a folder in DESED's layout, one clip after the other, so that it can go on later."""

from __future__ import annotations

import contextlib
import hashlib
import importlib.metadata
import io
import json
import multiprocessing
import shutil
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import soundfile
from tqdm.auto import tqdm

from keras_mtl.core import DataError, files
from keras_mtl.datasets.audio import SAMPLE_RATE_HZ
from keras_mtl.datasets.mixing import Soundbank
from keras_mtl.datasets.soundscapes import mixtures
from keras_mtl.decoding import Event

SCHEMA = "keras_mtl.synthesis/1"

#: Changes whenever the same bank and seed give other bytes.
_VERSION = 1
_PART = ".part"


class _Place(NamedTuple):
    """Where a split lies in DESED's layout, and the number that sets its random stream apart (never change one)."""

    table: str
    audio: str
    stream: int


_PLACES = {
    "strong_synthetic": _Place(
        "dcase_synth/metadata/train/synthetic21_train/soundscapes.tsv",
        "dcase_synth/audio/train/synthetic21_train/soundscapes",
        1,
    ),
    "weak": _Place("metadata/train/weak.tsv", "audio/train/weak", 2),
    "unlabelled": _Place("", "audio/train/unlabel_in_domain", 3),
    "validation": _Place("metadata/validation/validation.tsv", "audio/validation/validation", 4),
}
_DURATIONS = "metadata/validation/validation_durations.tsv"
_RECORD = "synthesis.json"
_DONE = "done"  # the folder of what is known of finished clips, while the work goes on


@dataclass(frozen=True)
class Order:
    """What to synthesise.

    Attributes:
        clips: how many clips, by split: "strong_synthetic", "weak", "unlabelled" and "validation".
        banks: what they are made from, by split.
        seed: the same seed, banks and counts give the same bytes.
    """

    clips: Mapping[str, int]
    banks: Mapping[str, Soundbank] = field(repr=False)
    seed: int = 0

    def record(self) -> dict[str, Any]:
        """All that the clips depend on."""
        return {
            "schema": SCHEMA,
            "version": _VERSION,
            "scaper": importlib.metadata.version("scaper"),
            "seed": self.seed,
            "clips": dict(self.clips),
            "soundbanks": {split: self.banks[split].fingerprint for split in self.clips},
        }


class _Task(NamedTuple):
    split: str
    number: int
    folder: str


def synthesise(order: Order, out: Path, jobs: int = 1, progress: bool = True) -> dict[str, Any]:
    """Writes the clips and tables. An interrupted call is gone on with by another one for the same order and folder.

    Args:
        order: what to synthesise.
        out: the folder to make; it must be new or empty. Until all is done the clips lie in a hidden folder beside it,
            which one process holds; what an interrupted call for another order left there is removed.
        jobs: processes that work at once. The bytes don't depend on it.
        progress: whether to show a bar on stderr where that is a terminal.

    Returns:
        `splits`: [{`split`, `clips`, `seconds`, `events`: {class: count}, `scaled`: clips made softer to fit}].

    Raises:
        DataError: the folder is in use or can't be written, another process makes it, Scaper is not installed, or a
            recording is silent.
    """
    mixtures.require_scaper()
    record = order.record()
    key = hashlib.sha256(json.dumps(record, sort_keys=True).encode()).hexdigest()
    try:
        with workplace(out, key[:12]) as work:
            _make_clips(order, work, jobs, progress)
            splits = [_write_tables(work, split, count) for split, count in order.clips.items() if count]
            files.write_json(work / _RECORD, {**record, "splits": splits})
            shutil.rmtree(work / _DONE)
    except OSError as error:
        raise DataError(f"clips can't be written to {out}: {error.strerror or error}") from error
    return {"splits": splits}


def _make_clips(order: Order, work: Path, jobs: int, progress: bool) -> None:
    tasks = [_Task(split, index, str(work)) for split, count in order.clips.items() for index in range(count)]
    left = [task for task in tasks if not _done(work, task).is_file()]
    with tqdm(
        desc="synthesising", unit=" clips", total=len(tasks), initial=len(tasks) - len(left), file=sys.stderr,
        mininterval=0.5, disable=not (progress and sys.stderr.isatty()),
    ) as bar:  # fmt: skip
        for _ in _carried_out(order, left, min(jobs, len(left))):
            bar.update()


def _carried_out(order: Order, tasks: Sequence[_Task], jobs: int) -> Iterator[None]:
    if jobs <= 1:
        for task in tasks:
            _make_clip(order, task)
            yield
        return
    # Spawned, not forked: the library that resamples does not like to be forked.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(jobs, context, initializer=_keep, initargs=(order,)) as pool:
        try:
            yield from pool.map(_make_kept_clip, tasks, chunksize=4)
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


_kept: list[Order] = []


def _keep(order: Order) -> None:
    _kept.append(order)


def _make_kept_clip(task: _Task) -> None:
    _make_clip(_kept[0], task)


def _make_clip(order: Order, task: _Task) -> None:
    bank, place = order.banks[task.split], _PLACES[task.split]
    labels = list(bank.events)
    rng = np.random.default_rng([order.seed, place.stream, task.number])
    plan = mixtures.draw_plan(rng, bank, labels[task.number % len(labels)])
    audio, scaled = mixtures.mix(plan, bank)
    wav = io.BytesIO()
    soundfile.write(wav, audio, SAMPLE_RATE_HZ, format="WAV", subtype="PCM_16")
    work = Path(task.folder)
    files.write_bytes(work / place.audio / _name(task.split, task.number), wav.getvalue())
    files.write_json(_done(work, task), {"labels": plan.labels(), "scaled": scaled})


def _name(split: str, index: int) -> str:
    return f"{split}-{index:05d}.wav"


def _done(work: Path, task: _Task) -> Path:
    """The file that marks a clip as finished: written after the clip."""
    return work / _DONE / f"{task.split}-{task.number:05d}.json"


def _write_tables(work: Path, split: str, count: int) -> dict[str, Any]:
    known = {
        _name(split, index): json.loads(_done(work, _Task(split, index, "")).read_text()) for index in range(count)
    }
    labels = {name: [Event(*row) for row in clip["labels"]] for name, clip in known.items()}
    table = work / _PLACES[split].table
    if split == "weak":
        rows = [(name, ",".join(sorted({row.label for row in here}))) for name, here in labels.items()]
        _write_table(table, ("filename", "event_labels"), rows)
    elif split != "unlabelled":
        times = [
            (name, f"{row.onset_s:.3f}", f"{row.offset_s:.3f}", row.label) for name in labels for row in labels[name]
        ]
        _write_table(table, ("filename", "onset", "offset", "event_label"), times)
    if split == "validation":
        _write_table(work / _DURATIONS, ("filename", "duration"), [(name, f"{mixtures.SECONDS}") for name in labels])
    counts = Counter(row.label for here in labels.values() for row in here)
    return {
        "split": split,
        "clips": count,
        "seconds": count * mixtures.SECONDS,
        "events": dict(sorted(counts.items())),
        "scaled": sum(clip["scaled"] for clip in known.values()),
    }


def _write_table(path: Path, header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    files.write_text(path, "".join("\t".join(row) + "\n" for row in (header, *rows)))


@contextlib.contextmanager
def workplace(out: Path, key: str) -> Iterator[Path]:
    """Gives the folder that takes the place of `out` when the block ends without an error.

    It is `.NAME.unfinished/KEY.part/` beside `out`, so that a long work that is interrupted can go on. One process has
    `.NAME.unfinished`, by a lock that a process that dies lets go.

    What another block for the same key left behind when it was interrupted is in it, but for files that were not whole.
    What blocks for other keys left is removed. After a `DataError` nothing is kept: the sources have to change.

    Args:
        out: the folder to make; it must be new or empty.
        key: the same where the result would have the same bytes; a folder's name.

    Raises:
        DataError: `out` holds something, or another process makes it.
        OSError: the folder can't be written.
    """
    _require_free(out)
    hidden = out.with_name(f".{out.name}.unfinished")
    with files.one_at_a_time(hidden, lambda: _refuse(out)) as alone:
        work = hidden / f"{key}{_PART}"
        try:
            _require_free(out)  # another process may have made it until now
            if alone:
                _clear(hidden, work)
            work.mkdir(exist_ok=True)
            yield work
            if out.is_dir():
                out.rmdir()
            work.rename(out)
        except DataError:
            shutil.rmtree(work, ignore_errors=True)
            raise
        finally:
            with contextlib.suppress(OSError):
                hidden.rmdir()  # it is empty now, or else the next one goes on there


def _require_free(out: Path) -> None:
    if not files.is_free(out):
        raise DataError(f"{out} is there already", hint="give a new folder")


def _refuse(out: Path) -> None:
    raise DataError(f"another process makes {out} now", hint="wait for it, or give another folder")


def _clear(hidden: Path, work: Path) -> None:
    for other in hidden.glob(f"*{_PART}"):
        if other != work:
            shutil.rmtree(other, ignore_errors=True)
    for part in files.left_over(work):
        part.unlink()
