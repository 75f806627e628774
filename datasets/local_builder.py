"""The base of the TFDS builders here: splits planned first, then written with a census and one progress bar."""

from __future__ import annotations

import abc
import inspect
import logging
import os
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import tensorflow_datasets as tfds

from keras_mtl.datasets.audio_files import SAMPLE_RATE_HZ, Recording
from keras_mtl.datasets.census import Census
from keras_mtl.errors import DataError

_log = logging.getLogger("keras_mtl.datasets")

_UNREADABLE = "remove such a file or get it again; missing files are skipped"


@dataclass(frozen=True)
class Split:
    """One split before it is written.

    Attributes:
        keys: unique names of the clips that are there. A split without any is left out; its census is kept.
        example: gives the example of one key; counts into `census` what it had to change.
        census: what the tables and folders showed so far.
        recordings: the file of each key; empty for sounds that are made.
        count: counts into `census` what `example` would have to change, given what the recording of a key is.
    """

    keys: Sequence[str]
    example: Callable[[str], dict[str, Any]]
    census: Census
    recordings: Mapping[str, Path] = field(default_factory=dict)
    count: Callable[[str, Recording], Any] = lambda key, recording: None


@dataclass(eq=False)
class RateConfig(tfds.core.BuilderConfig):
    """Clips at another rate than 16 kHz, or some splits only; TFDS keeps them in a folder of their own.

    Attributes:
        sample_rate_hz: samples per second of the clips.
        splits: names of the splits to make; none of them: all that there are.
    """

    sample_rate_hz: int = SAMPLE_RATE_HZ
    splits: tuple[str, ...] = ()


def rate_config(sample_rate_hz: int, splits: tuple[str, ...] = ()) -> RateConfig | None:
    """The configuration for a rate and splits; None for all at 16 kHz, which is what a builder without one gives."""
    if sample_rate_hz == SAMPLE_RATE_HZ and not splits:
        return None
    name = "_".join([f"{sample_rate_hz}_hz", *splits])
    description = f"Clips at {sample_rate_hz} Hz{': ' if splits else '.'}{', '.join(splits)}"
    return RateConfig(name=name, description=description, sample_rate_hz=sample_rate_hz, splits=splits)


class LocalBuilder(tfds.core.GeneratorBasedBuilder):
    """A TFDS builder over files that the user has, or over sounds made on the spot. Downloads nothing.

    Subclasses give `_info` and `_plan`. The census of every split is kept in the data set's metadata.
    """

    #: Nothing is downloaded, so there are no checksums.
    url_infos = None

    #: Called with 0 and the number of clips before anything is written, then with 1 and 0 after each clip.
    on_progress: Callable[[int, int], None] | None = None

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        # TFDS derives these from the module's name, which in a source tree is not the folder's.
        cls.code_path = tfds.core.Path(inspect.getfile(cls))
        cls.pkg_dir_path = cls.code_path.parent

    @property
    def sample_rate_hz(self) -> int:
        """Samples per second of the clips."""
        return int(getattr(self.builder_config, "sample_rate_hz", SAMPLE_RATE_HZ))

    def only(self, splits: Mapping[str, Path]) -> dict[str, Path]:
        """Of the splits that there are, those that the configuration asks for."""
        wanted = getattr(self.builder_config, "splits", ()) or splits
        return {name: path for name, path in splits.items() if name in wanted}

    @abc.abstractmethod
    def _plan(self, manual_dir: Path | None) -> dict[str, Split]:
        """The splits, by name. Reads tables and lists folders, no audio."""

    def plan(self, manual_dir: Path | None) -> dict[str, Split]:
        """The splits, by name, with all that their tables and folders show. Reads no audio.

        Raises:
            DataError: there is no such data set, or a table can't be read. What is wrong in a table's rows is in the
                splits' censuses.
        """
        return self._plan(manual_dir)

    def _split_generators(self, dl_manager: tfds.download.DownloadManager) -> dict[str, Any]:
        manual_dir = Path(dl_manager.manual_dir) if self.MANUAL_DOWNLOAD_INSTRUCTIONS else None
        plan = self._plan(manual_dir)
        self._require_usable({name: split.census for name, split in plan.items()})
        census = self.info.metadata.setdefault("census", {})
        for name in [name for name, split in plan.items() if not split.keys]:
            census[name] = plan.pop(name).census.saved()
        self._progress(0, sum(len(split.keys) for split in plan.values()))
        return {name: self._generate_examples(name, split) for name, split in plan.items()}

    def _generate_examples(self, name: str, split: Split) -> Iterator[tuple[str, dict[str, Any]]]:
        for key in split.keys:
            try:
                example = split.example(key)
            except DataError as error:
                split.census.refuse("unreadable", key, DataError(error.message, hint=_UNREADABLE))
                continue
            finally:
                self._progress(1, 0)
            split.census.clips += 1
            yield key, example
        self._require_usable({name: split.census})
        self.info.metadata["census"][name] = split.census.saved()

    def _require_usable(self, found: Mapping[str, Census]) -> None:
        """Raises the first refusal and logs the others: all are named, so that a large folder is mended in one go."""
        refusals = [(name, error) for name, census in found.items() for error in census.refusals]
        for name, error in refusals[1:]:
            _log.error("%s/%s: %s", self.name, name, error.message)
        if refusals:
            first = refusals[0][1]
            more = f" (and {len(refusals) - 1} more in {self.name}/{', '.join(found)})" if len(refusals) > 1 else ""
            raise DataError(first.message + more, hint=first.hint or "keras_mtl data check DIR shows all that is wrong")

    def _progress(self, done: int, more: int) -> None:
        if self.on_progress is not None:
            self.on_progress(done, more)


def present_files(rows: Mapping[str, int], there: Container[str], census: Census) -> list[str]:
    """Of the clips that a table names, those that are there; counts the others into `census`.

    Args:
        rows: the number of its rows for each clip that the table names.
        there: the recordings that are on disk.
        census: what counts those that are not.
    """
    for name, count in rows.items():
        if name not in there:
            census.count("missing", name)
            census.missing_rows += count
    return [name for name in rows if name in there]


def listing(folder: Path) -> set[str]:
    """Names of the files in a folder; empty when there is no such folder. Links to nothing are no files."""
    if not folder.is_dir():
        return set()
    with os.scandir(folder) as entries:
        return {entry.name for entry in entries if entry.is_file()}
