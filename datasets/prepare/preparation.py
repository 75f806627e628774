"""Running a TFDS builder quietly: nothing on stdout, one progress bar on stderr, no network, whole or not at all."""

from __future__ import annotations

import contextlib
import io
import logging
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow_datasets as tfds
from tensorflow_datasets.core import shuffle
from tqdm.auto import tqdm

from keras_mtl.core import DataError, files
from keras_mtl.datasets.audio import SAMPLE_RATE_HZ
from keras_mtl.datasets.audio import files as audio_files
from keras_mtl.datasets.prepare.census import Census
from keras_mtl.datasets.prepare.kept_examples import KeptExamples, Source
from keras_mtl.datasets.prepare.local_builder import LocalBuilder, listed_by_name
from keras_mtl.datasets.prepare.workers import Workers, in_turn

#: Bytes of a split from which on TFDS sorts its records on the disk, and in how many files.
_SORTED_IN_MEMORY = 64 << 20
_SORTED_FILES = 100

_log = logging.getLogger("keras_mtl.datasets")
#: Clips. By itself TensorFlow reads ahead as far as it has time for: hundreds of clips.
_READ_AHEAD = 8


def prepared(
    builder_class: type[LocalBuilder],
    home: Path,
    manual_dir: Path | None = None,
    config: Any = None,
    progress: bool = True,
    workers: Workers = in_turn,
    beam: Any = None,
) -> LocalBuilder:
    """A builder whose data are ready to be read: those that are there already, or prepared now.

    TFDS writes to a temporary folder and renames it at the end, so an interrupt leaves no half-written data set. It
    leaves the recordings read so far, in parts that the next attempt goes on from. Of two processes one prepares, and
    the other waits for it. What was missing or had to be changed is logged each time.

    Args:
        builder_class: the data set.
        home: folder of the prepared data; what it is called must stand for the state of the sources.
        manual_dir: the user's data, only read.
        config: the builder's configuration.
        progress: whether to show it on stderr: as a bar on a terminal, else in one line at the end.
        workers: who reads the recordings.
        beam: options of an Apache Beam pipeline that makes the data set instead of them, or None.

    Raises:
        DataError: the sources can't be used, or the prepared data can't be written.
    """
    with quiet():
        builder = builder_class(data_dir=home, config=config)
        if not builder.data_path.exists():
            try:
                with files.one_at_a_time(home, lambda: _tell_waiting(home)) as alone:
                    builder = builder_class(data_dir=home, config=config)
                    if not builder.data_path.exists():
                        if alone:
                            _remove_left_over(builder)
                        source = Source(
                            builder_class,
                            home,
                            builder.info.config_name or "",
                            manual_dir,
                            listed_by_name(builder_class, config),
                        )
                        _prepare(builder, source, progress, workers, beam)
            except BaseException as error:
                if not builder.data_path.exists():  # or else another process was faster, which is as good
                    _remove_empty_folders(home)
                    about_files = _about_files(error)
                    if about_files is not None:
                        raise _unwritable(home, about_files) from error
                    raise
            builder = builder_class(data_dir=home, config=config)
        shutil.rmtree(_kept(home, builder), ignore_errors=True)  # of a process that was killed within this, too
    for split, census in censuses(builder).items():
        _report(f"{builder.name}/{split}", census)
    return builder


def censuses(builder: tfds.core.DatasetBuilder) -> dict[str, Census]:
    """What was found when the splits were prepared, also of splits that were left out because nothing was there."""
    return {split: Census.load(counts) for split, counts in ((builder.info.metadata or {}).get("census", {})).items()}


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keeps TFDS from printing to stdout, which belongs to the commands' JSON, and from warnings about itself."""
    chatty = logging.getLogger("absl")
    before = chatty.level
    tfds.disable_progress_bar()
    chatty.setLevel(logging.ERROR)
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            yield
    finally:
        chatty.setLevel(before)


def _prepare(builder: LocalBuilder, source: Source, progress: bool, workers: Workers, beam: Any) -> None:
    name = builder.info.full_name
    with_bar = progress and sys.stderr.isatty()
    kept = _kept(source.home, builder)
    with tqdm(
        desc=f"preparing {name}", unit=" clips", total=0, file=sys.stderr, mininterval=0.5, disable=not with_bar
    ) as bar:

        def on_progress(done: int, more: int) -> None:
            bar.total += more
            bar.update(done)

        builder.on_progress, builder.keep = on_progress, KeptExamples(source, kept, workers, with_bar)
        try:
            with _little_memory():
                builder.download_and_prepare(
                    download_dir=kept,  # nothing is downloaded, but TFDS wants a folder
                    download_config=tfds.download.DownloadConfig(
                        manual_dir=source.manual_dir, try_download_gcs=False, beam_options=beam
                    ),
                )
        except DataError:
            shutil.rmtree(kept, ignore_errors=True)  # the sources have to change, and then these are of no use
            raise
    if progress and not with_bar:
        print(f"prepared {name}", file=sys.stderr)


@contextlib.contextmanager
def _little_memory() -> Iterator[None]:
    """Lets TFDS sort a split's records on the disk where it would keep up to a gigabyte of them in memory.

    It has no setting for that. The records come in the same order either way. It sorts them into a thousand files, all
    open at once, which is near to what a process may open; a tenth is enough for what one machine prepares.
    """
    before = shuffle.MAX_MEM_BUFFER_SIZE, shuffle.BUCKETS_NUMBER
    shuffle.MAX_MEM_BUFFER_SIZE, shuffle.BUCKETS_NUMBER = _SORTED_IN_MEMORY, _SORTED_FILES
    try:
        yield
    finally:
        shuffle.MAX_MEM_BUFFER_SIZE, shuffle.BUCKETS_NUMBER = before


def _kept(home: Path, builder: LocalBuilder) -> Path:
    """The folder of what is kept until the data set is whole."""
    return home / f".kept-{builder.info.full_name.replace('/', '-')}"


def _remove_left_over(builder: LocalBuilder) -> None:
    """Removes what a killed process left where TFDS writes: nobody else is at work here now."""
    parent = Path(builder.data_path).parent
    for folder in parent.glob(f"incomplete.*_{builder.data_path.name}*"):
        shutil.rmtree(folder, ignore_errors=True)


def _tell_waiting(home: Path) -> None:
    print(f"another process prepares data in {home}: waiting for it", file=sys.stderr)


def _report(name: str, census: Census) -> None:
    if census.missing:
        listed, named = census.listed, ", ".join(census.first_names().get("missing", ()))
        outcome = "" if census.clips else ", so this split is left out"
        _log.warning("%s: %d of %d clips are missing%s: %s ...", name, census.missing, listed, outcome, named)
    changes = census.changes()
    if changes:
        changed = ", ".join(f"{count} {what}" for what, count in changes.items())
        _log.warning("%s: %d clips, of them or in them: %s", name, census.clips, changed)


def _about_files(error: BaseException | None) -> BaseException | None:
    """The error about files that an error is or stems from, if it does: TFDS raises one of its own instead."""
    while error is not None and not isinstance(error, DataError):
        # TensorFlow writes the records, and has errors of its own for a full disk or a folder that can't be written.
        if isinstance(error, OSError) or type(error).__module__.startswith("tensorflow.python.framework.errors"):
            return error
        error = error.__cause__
    return None


def _unwritable(home: Path, error: BaseException) -> DataError:
    reason = getattr(error, "strerror", None) or str(error).splitlines()[0].rpartition("; ")[2]
    return DataError(f"data can't be prepared in {home}: {reason}", hint="set KERAS_MTL_CACHE to a folder with space")


def _remove_empty_folders(home: Path) -> None:
    for folder in [*sorted(home.rglob("*"), reverse=True), home]:
        with contextlib.suppress(OSError):
            folder.rmdir()


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

        A scene clip: `audio` int16 [samples], `scene` (index in the labels' scenes), `device`, `recording`, `filename`.
        An event clip: `audio` int16 [samples], `events` {`onset_s`, `offset_s` float32 [n], `label` int64 [n]},
        `weak` int64 [events], `filename`. Audio is at `sample_rate_hz`, full scale 32768.
        """
        return self.between(0, self.count)

    @property
    def clip_s(self) -> float:
        """Seconds of a clip."""
        return self.builder.clip_s

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
