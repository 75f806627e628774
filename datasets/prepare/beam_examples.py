"""The examples of a split as an Apache Beam transform, for data that one machine would take too long to read."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from keras_mtl.core import files
from keras_mtl.datasets.prepare.census import Census
from keras_mtl.datasets.prepare.split import Split, made


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
            yield beam.pvalue.TaggedOutput("told", (place, found.saved()))
        if values is not None:
            yield key, values

    def write(told: list[tuple[int, dict[str, Any]]]) -> None:
        whole.clips = clips - len(told)
        for _, found in sorted(told, key=lambda each: each[0]):
            whole.add(Census.load(found))
        files.write_text(census_path, json.dumps(whole.saved()))

    def generate(pipeline: Any) -> Any:
        read = (
            pipeline
            | "Keys" >> beam.Create(list(enumerate(split.keys)))
            | "Spread" >> beam.Reshuffle()
            | "Read" >> beam.FlatMap(make).with_outputs("told", main="examples")
        )
        told = read.told | "Gather" >> beam.CombineGlobally(beam.combiners.ToListCombineFn())
        _ = told | "Census" >> beam.Map(write)
        return read.examples

    return beam.ptransform_fn(generate)()
