"""The base of the TFDS builders here: splits planned first, then written with a census and one progress bar."""

from __future__ import annotations

import abc
import inspect
import json
import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import tensorflow_datasets as tfds

from keras_mtl.datasets.audio_files import SAMPLE_RATE_HZ
from keras_mtl.datasets.beam_examples import beam_examples
from keras_mtl.datasets.clips import Census
from keras_mtl.datasets.split import Split
from keras_mtl.errors import DataError

_log = logging.getLogger("keras_mtl.datasets")


_NAMED_FILES = 5


@dataclass(eq=False)
class RateConfig(tfds.core.BuilderConfig):
    """Clips at another rate than 16 kHz; TFDS keeps them in a folder of their own.

    Attributes:
        sample_rate_hz: samples per second of the clips.
    """

    sample_rate_hz: int = SAMPLE_RATE_HZ


def rate_config(sample_rate_hz: int) -> RateConfig | None:
    """The configuration for a rate; None for 16 kHz, which is what a builder without one gives."""
    if sample_rate_hz == SAMPLE_RATE_HZ:
        return None
    name = f"{sample_rate_hz}_hz"
    return RateConfig(name=name, description=f"Clips at {sample_rate_hz} Hz.", sample_rate_hz=sample_rate_hz)


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

    @abc.abstractmethod
    def _plan(self, manual_dir: Path | None) -> dict[str, Split]:
        """The splits, by name. Reads tables and lists folders, no audio."""

    def _split_generators(self, dl_manager: tfds.download.DownloadManager) -> dict[str, Any]:
        manual_dir = Path(dl_manager.manual_dir) if self.MANUAL_DOWNLOAD_INSTRUCTIONS else None
        plan = self._plan(manual_dir)
        census = self.info.metadata.setdefault("census", {})
        for name in [name for name, split in plan.items() if not split.keys]:
            census[name] = asdict(plan.pop(name).census)
        if self._with_beam:
            return {name: beam_examples(split, self._counts_of(name)) for name, split in plan.items()}
        if self.keep is not None:
            samples = self.info.features["audio"].shape[0]
            plan = {name: self.keep(name, split, samples, self.sample_rate_hz) for name, split in plan.items()}
        self._progress(0, sum(len(split.keys) for split in plan.values()))
        return {name: self._generate_examples(name, split) for name, split in plan.items()}

    def _generate_examples(self, name: str, split: Split) -> Iterator[tuple[str, dict[str, Any]]]:
        unreadable: list[str] = []
        for key in split.keys:
            try:
                example = split.example(key)
            except DataError as error:
                unreadable.append(error.message)
                continue
            finally:
                self._progress(1, 0)
            split.census.clips += 1
            yield key, example
        self._refuse(name, unreadable)
        self.info.metadata["census"][name] = asdict(split.census)

    def _refuse(self, name: str, unreadable: Sequence[str]) -> None:
        if unreadable:
            # All of them are named, so that a large folder is mended in one go.
            for message in unreadable[1:]:
                _log.error("%s/%s: %s", self.name, name, message)
            more = f" (and {len(unreadable) - 1} more in {self.name}/{name})" if len(unreadable) > 1 else ""
            raise DataError(unreadable[0] + more, hint="remove such a file or get it again; missing files are skipped")

    def _generate_splits(self, dl_manager: Any, download_config: tfds.download.DownloadConfig) -> Any:
        # TFDS knows whether a pipeline is wanted only here, and makes one only if the examples come as a transform.
        self._with_beam = bool(download_config.beam_options or download_config.beam_runner)
        return super()._generate_splits(dl_manager, download_config)

    def _process_pipeline_result(self, pipeline_result: Any) -> None:
        """The census of each split, which the workers of a pipeline have left in a file."""
        for path in sorted(Path(self.data_path).glob(self._counts_of("*").name)):
            name, found = path.name.split(".")[2], json.loads(path.read_text(encoding="utf-8"))
            path.unlink()
            self._refuse(name, found["unreadable"])
            self.info.metadata["census"][name] = found["census"]

    def _counts_of(self, split: str) -> Path:
        return Path(self.data_path) / f".census.{split}.json"

    def __getstate__(self) -> dict[str, Any]:
        # TFDS refuses the copy of a listed configuration that arrives in another process: it is sent by its name.
        return {"_original_state": self._original_state | {"config": listed_by_name(type(self), self.builder_config)}}

    def _progress(self, done: int, more: int) -> None:
        if self.on_progress is not None:
            self.on_progress(done, more)


def listed_by_name(builder: type[LocalBuilder], config: Any) -> Any:
    """A configuration as it can be sent to another process: its name where the builder lists it."""
    return config.name if config is not None and config.name in builder.builder_configs else config


def present_files(names: Sequence[str], there: frozenset[str] | set[str], census: Census) -> list[str]:
    """Of the clips that a table names, those that are there, each once; counts the others into `census`."""
    once = list(dict.fromkeys(names))
    census.repeated += len(names) - len(once)
    absent = [name for name in once if name not in there]
    census.missing += len(absent)
    census.missing_names.extend(absent[:_NAMED_FILES])
    return [name for name in once if name in there]


def listing(folder: Path) -> set[str]:
    """Names of the files in a folder; empty when there is no such folder."""
    return {entry.name for entry in folder.iterdir()} if folder.is_dir() else set()
