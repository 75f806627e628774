"""The base of the TFDS builders here: splits planned first, then written with a census and one progress bar."""

from __future__ import annotations

import abc
import inspect
import json
import logging
import os
from collections.abc import Callable, Container, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tensorflow_datasets as tfds

from keras_mtl.core import DataError
from keras_mtl.datasets.audio import SAMPLE_RATE_HZ
from keras_mtl.datasets.prepare.beam_examples import beam_examples
from keras_mtl.datasets.prepare.census import Census
from keras_mtl.datasets.prepare.split import Split, made

_log = logging.getLogger("keras_mtl.datasets")


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

    #: Given a split's name, the split, the samples of a clip and their rate; gives the split to write in its place.
    keep: Callable[[str, Split, int, int], Split] | None = None

    #: Whether the examples are made by an Apache Beam pipeline.
    _with_beam = False

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
        if self._with_beam:
            return {name: beam_examples(split, self._counts_of(name)) for name, split in plan.items()}
        if self.keep is not None:
            samples = self.info.features["audio"].shape[0]
            plan = {name: self.keep(name, split, samples, self.sample_rate_hz) for name, split in plan.items()}
        self._progress(0, sum(len(split.keys) for split in plan.values()))
        return {name: self._generate_examples(name, split) for name, split in plan.items()}

    def _generate_examples(self, name: str, split: Split) -> Iterator[tuple[str, dict[str, Any]]]:
        for key in split.keys:
            example = made(key, split.example, split.census)
            self._progress(1, 0)
            if example is not None:
                yield key, example
        self._require_usable({name: split.census})
        self.info.metadata["census"][name] = split.census.saved()

    def _generate_splits(self, dl_manager: Any, download_config: tfds.download.DownloadConfig) -> Any:
        # TFDS knows whether a pipeline is wanted only here, and makes one only if the examples come as a transform.
        self._with_beam = bool(download_config.beam_options or download_config.beam_runner)
        return super()._generate_splits(dl_manager, download_config)

    def _process_pipeline_result(self, pipeline_result: Any) -> None:
        """The census of each split, which the workers of a pipeline have left in a file."""
        found = {}
        for path in sorted(Path(self.data_path).glob(self._counts_of("*").name)):
            found[path.name.split(".")[2]] = Census.load(json.loads(path.read_text(encoding="utf-8")))
            path.unlink()
        self._require_usable(found)
        for name, census in found.items():
            self.info.metadata["census"][name] = census.saved()

    def _counts_of(self, split: str) -> Path:
        return Path(self.data_path) / f".census.{split}.json"

    def __getstate__(self) -> dict[str, Any]:
        # TFDS refuses the copy of a listed configuration that arrives in another process: it is sent by its name.
        return {"_original_state": self._original_state | {"config": listed_by_name(type(self), self.builder_config)}}

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


def listed_by_name(builder: type[LocalBuilder], config: Any) -> Any:
    """A configuration as it can be sent to another process: its name where the builder lists it."""
    return config.name if config is not None and config.name in builder.builder_configs else config


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
