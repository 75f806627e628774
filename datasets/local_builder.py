"""The base of the TFDS builders here: splits planned first, then written with a census and one progress bar."""

from __future__ import annotations

import abc
import inspect
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import tensorflow_datasets as tfds

from keras_mtl.datasets.audio_files import SAMPLE_RATE_HZ
from keras_mtl.datasets.clips import Census
from keras_mtl.errors import DataError

_log = logging.getLogger("keras_mtl.datasets")


_NAMED_FILES = 5


@dataclass(frozen=True)
class Split:
    """One split before it is written.

    Attributes:
        keys: unique names of the clips that are there. A split without any is left out; its census is kept.
        example: gives the example of one key; counts into `census` what it had to change.
        census: what the tables and folders showed so far.
    """

    keys: Sequence[str]
    example: Callable[[str], dict[str, Any]]
    census: Census


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

    def _split_generators(self, dl_manager: tfds.download.DownloadManager) -> dict[str, Any]:
        manual_dir = Path(dl_manager.manual_dir) if self.MANUAL_DOWNLOAD_INSTRUCTIONS else None
        plan = self._plan(manual_dir)
        census = self.info.metadata.setdefault("census", {})
        for name in [name for name, split in plan.items() if not split.keys]:
            census[name] = asdict(plan.pop(name).census)
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
        if unreadable:
            # All of them are named, so that a large folder is mended in one go.
            for message in unreadable[1:]:
                _log.error("%s/%s: %s", self.name, name, message)
            more = f" (and {len(unreadable) - 1} more in {self.name}/{name})" if len(unreadable) > 1 else ""
            raise DataError(unreadable[0] + more, hint="remove such a file or get it again; missing files are skipped")
        self.info.metadata["census"][name] = asdict(split.census)

    def _progress(self, done: int, more: int) -> None:
        if self.on_progress is not None:
            self.on_progress(done, more)


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
