"""The base of the TFDS builders here: splits planned first, then written with a census and one progress bar."""

from __future__ import annotations

import abc
import inspect
import json
import logging
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import tensorflow_datasets as tfds

from keras_mtl.core import DCASE, DataError, Labels, files
from keras_mtl.datasets.audio import SAMPLE_RATE_HZ, Inspected
from keras_mtl.datasets.prepare.census import Census

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
        read: the tables and folders that it was made of, also where nothing is there.
    """

    keys: Sequence[str]
    example: Callable[[str], dict[str, Any]]
    census: Census
    recordings: Mapping[str, Path] = field(default_factory=dict)
    count: Callable[[str, Inspected], Any] = lambda key, recording: None
    read: tuple[Path, ...] = ()


def made(key: str, example: Callable[[str], dict[str, Any]], census: Census) -> dict[str, Any] | None:
    """The example of a key, counted; None, and a refusal in the census, where its recording can't be read."""
    try:
        values = example(key)
    except DataError as error:
        census.refuse("unreadable", key, DataError(error.message, hint=_UNREADABLE))
        return None
    census.clips += 1
    return values


def _nothing() -> None:
    """Stands for what is not to be done."""


@dataclass(eq=False)
class ClipConfig(tfds.core.BuilderConfig):
    """What clips to make. TFDS keeps each rate, length and choice of splits in a folder of its own.

    The labels are no part of that folder's name: they belong into that of `home` (see `prepared`).

    Attributes:
        sample_rate_hz: samples per second of the clips.
        clip_s: seconds of a clip; None for the data set's own.
        splits: names of the splits to make; none of them: all that there are.
        labels: the classes.
    """

    sample_rate_hz: int = SAMPLE_RATE_HZ
    clip_s: float | None = None
    splits: tuple[str, ...] = ()
    labels: Labels = DCASE


def clip_config(
    labels: Labels, sample_rate_hz: int, clip_s: float | None = None, splits: tuple[str, ...] = ()
) -> ClipConfig:
    """The configuration for these labels, this rate, length and these splits."""
    length = "" if clip_s is None else f"_{round(1000 * clip_s)}_ms"
    name = "_".join([f"{sample_rate_hz}_hz{length}", *splits])
    return ClipConfig(
        name=name,
        description=f"Clips: {name.replace('_', ' ')}.",
        sample_rate_hz=sample_rate_hz,
        clip_s=clip_s,
        splits=splits,
        labels=labels,
    )


class LocalBuilder(tfds.core.GeneratorBasedBuilder):
    """A TFDS builder over files that the user has, or over sounds made on the spot. Downloads nothing.

    Subclasses give `_info` and `plan`. The census of every split is kept in the data set's metadata.
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

    #: Seconds of a clip where the configuration has none.
    clip_seconds: float

    @property
    def sample_rate_hz(self) -> int:
        """Samples per second of the clips."""
        return int(getattr(self.builder_config, "sample_rate_hz", SAMPLE_RATE_HZ))

    @property
    def clip_s(self) -> float:
        """Seconds of a clip."""
        return float(getattr(self.builder_config, "clip_s", None) or self.clip_seconds)

    @property
    def labels(self) -> Labels:
        """The classes."""
        found: Labels = getattr(self.builder_config, "labels", DCASE)
        return found

    def dataset_info_from_configs(self, **kwargs: Any) -> tfds.core.DatasetInfo:
        """As in TFDS, but without its look for information in its bucket, which leaves a temporary folder each time."""
        info = super().dataset_info_from_configs(**kwargs)
        vars(info)["initialize_from_bucket"] = _nothing
        return info

    def only(self, splits: Mapping[str, Path]) -> dict[str, Path]:
        """Of the splits that there are, those of the configuration."""
        wanted = getattr(self.builder_config, "splits", ()) or splits
        return {name: path for name, path in splits.items() if name in wanted}

    @abc.abstractmethod
    def plan(self, manual_dir: Path | None) -> dict[str, Split]:
        """The splits, by name, with all that their tables and folders show. Reads no audio.

        Raises:
            DataError: there is no such data set, or a table can't be read. What is wrong in a table's rows is in the
                splits' censuses.
        """

    def _split_generators(self, dl_manager: tfds.download.DownloadManager) -> dict[str, Any]:
        manual_dir = Path(dl_manager.manual_dir) if self.MANUAL_DOWNLOAD_INSTRUCTIONS else None
        plan = self.plan(manual_dir)
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
        # Whether a pipeline is wanted is known only here. TFDS makes one only if the examples come as a transform.
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


def beam_examples(split: Split, census_path: Path) -> Any:
    """A transform that makes the examples of a split, one element a clip, on whatever worker.

    The workers must see the data under the same paths. At the end the split's census is written to a file, as of
    `Census.saved`: with what they had to change, and the recordings that none of them could read.

    Args:
        split: as it is planned.
        census_path: the file.

    Returns:
        A `beam.PTransform` of nothing to (key, example).
    """
    import apache_beam as beam

    clips, example, census, whole = len(split.keys), split.example, split.census, split.census.take()

    # The census that `example` counts into travels with it, empty; each worker has one of its own.
    def make(numbered: tuple[int, str]) -> Iterable[Any]:
        place, key = numbered
        values = made(key, example, census)
        found = census.take()
        if found != Census(clips=1):
            yield beam.pvalue.TaggedOutput("census", (place, found.saved()))
        if values is not None:
            yield key, values

    def write(counted: list[tuple[int, dict[str, Any]]]) -> None:
        whole.clips = clips - len(counted)
        for _, found in sorted(counted, key=lambda each: each[0]):
            whole.add(Census.load(found))
        files.write_text(census_path, json.dumps(whole.saved()))

    def generate(pipeline: Any) -> Any:
        read = (
            pipeline
            | "Keys" >> beam.Create(list(enumerate(split.keys)))
            | "Spread" >> beam.Reshuffle()
            | "Read" >> beam.FlatMap(make).with_outputs("census", main="examples")
        )
        counted = read.census | "Gather" >> beam.CombineGlobally(beam.combiners.ToListCombineFn())
        _ = counted | "Census" >> beam.Map(write)
        return read.examples

    return beam.ptransform_fn(generate)()
