"""The examples of a split as an Apache Beam transform, for data that one machine would take too long to read."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from keras_mtl import files
from keras_mtl.datasets.split import Split, add, counts
from keras_mtl.errors import DataError


def beam_examples(split: Split, census_path: Path) -> Any:
    """A transform that makes the examples of a split, one element a clip, on whatever worker.

    The workers must see the data under the same paths. What they had to change, and the recordings that none of them
    could read, are counted into a file at the end: {"census": ..., "unreadable": [messages]}.

    Args:
        split: as it is planned.
        census_path: the file.

    Returns:
        A `beam.PTransform` of nothing to (key, example).
    """
    import apache_beam as beam

    def make(key: str) -> Iterable[Any]:
        before = counts(split.census)
        try:
            example = split.example(key)
        except DataError as error:
            yield beam.pvalue.TaggedOutput("told", {"unreadable": error.message})
            return
        found = {name: count - before[name] for name, count in counts(split.census).items()}
        yield beam.pvalue.TaggedOutput("told", found | {"clips": 1})
        yield key, example

    def write(told: list[dict[str, Any]]) -> None:
        unreadable = sorted(found["unreadable"] for found in told if "unreadable" in found)
        for found in told:
            if "unreadable" not in found:
                add(split.census, found)
        files.write_json(census_path, {"census": asdict(split.census), "unreadable": unreadable})

    def generate(pipeline: Any) -> Any:
        made = (
            pipeline
            | "Keys" >> beam.Create(list(split.keys))
            | "Spread" >> beam.Reshuffle()
            | "Read" >> beam.FlatMap(make).with_outputs("told", main="examples")
        )
        _ = made.told | "Gather" >> beam.CombineGlobally(beam.combiners.ToListCombineFn()) | "Census" >> beam.Map(write)
        return made.examples

    return beam.ptransform_fn(generate)()
