"""Runs side by side: what each is, what it costs and what it reached, as one frozen result.

Conventions: figures are those of `keras_mtl.metrics`, as each run folder has them, with 95 % intervals where it has
them; spreads over seeds are sample standard deviations (n - 1). Runs that were scored on different data are listed
in `Comparison.mismatches`: their figures must not be held against each other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from keras_mtl.core import files

SCHEMA = "keras_mtl.comparison/1"

#: The figures of the table, by the names of `keras_mtl.metrics.evaluation`: (task, what a table's head calls it).
FIGURES = {
    "accuracy": ("scenes", "accuracy"),
    "macro_accuracy": ("scenes", "macro acc."),
    "event_f1_macro": ("events", "event F1"),
    "psds1": ("events", "PSDS1"),
    "psds2": ("events", "PSDS2"),
    "weak_f1_macro": ("events", "weak F1"),
}
#: Settings of the data by which the clips that a task is scored on differ. How own sounds are mixed is part of their
#: fingerprint, and what is mixed from a soundbank is for the training alone.
_OF_CLIPS = {
    "scenes": ("scene_clip_s", "test_fraction", "split_seed"),
    "events": ("event_clip_s", "test_fraction", "split_seed"),
}


@dataclass(frozen=True)
class Figure:
    """A figure with its 95 % interval; `low` and `high` are None where the run has none."""

    value: float
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Conflict:
    """The cosine between the tasks' encoder gradients over a training, see `keras_mtl.training.conflict`.

    Attributes:
        mean: over all measurements, -1 to 1.
        share: part of the measurements that are below 0, where a step for one task undoes some of the other's.
        measurements: how many there are.
    """

    mean: float
    share: float
    measurements: int


@dataclass(frozen=True)
class RunRow:
    """One run.

    Attributes:
        name: the shortest end of its path that no other run has.
        path: the run folder, as it was given.
        stage, scheme: "float", or "qat" and its scheme.
        system, recipe, algorithm, seed, tasks: what was trained, and how.
        epochs: passes, by phase; those of the quantization-aware fine-tuning under "quantize".
        params: trainable parameters of what the tasks need; None where they can't be counted, see `remark`.
        macs_per_second: MACs for a second of audio of the same, in the default convention.
        training_minutes: of all sittings together.
        data, fingerprint: what it was scored on.
        clips: evaluation clips, by task.
        tool: what made the event figures.
        configuration: the same for runs that differ in their seed alone.
        figures: by the names of `FIGURES`.
        conflict: between its tasks; None where it was not measured.
        remark: what is wrong with it, if something is.
        settings: which clips of the data it was trained and scored on: what differs from the defaults of the recipe's
            group `data`.
    """

    name: str
    path: str
    stage: str
    scheme: str | None
    system: str
    recipe: str
    algorithm: str
    seed: int
    tasks: tuple[str, ...]
    epochs: dict[str, int]
    params: int | None
    macs_per_second: float | None
    training_minutes: float | None
    data: str
    fingerprint: str
    clips: dict[str, int]
    tool: str
    configuration: str
    figures: dict[str, Figure]
    conflict: Conflict | None = None
    remark: str = ""
    settings: dict[str, Any] = field(default_factory=dict)

    def scored_on(self, task: str) -> tuple[str, int, str, str]:
        """What two runs must have in common for a task's figures to be comparable: data, clips, tool, settings."""
        settings = [f"{key} {self.settings[key]:g}" for key in _OF_CLIPS[task] if key in self.settings]
        tool = self.tool if task == "events" else ""
        return (self.fingerprint, self.clips.get(task, 0), tool, ", ".join(settings))


@dataclass(frozen=True)
class Spread:
    """Mean and sample standard deviation over `n` seeds."""

    mean: float
    std: float
    n: int


@dataclass(frozen=True)
class Summary:
    """Several runs of one configuration.

    Attributes:
        configuration: as of its runs.
        name: the first run's system, algorithm and stage.
        runs, seeds: their names and seeds.
        figures: by the names of `FIGURES`.
    """

    configuration: str
    name: str
    runs: tuple[str, ...]
    seeds: tuple[int, ...]
    figures: dict[str, Spread]


@dataclass(frozen=True)
class Mismatch:
    """Runs of a task that were scored on different things.

    Attributes:
        task: "scenes" or "events".
        sets: each {"data", "fingerprint", "clips", "tool", "settings", "runs"}.
    """

    task: str
    sets: tuple[dict[str, Any], ...]


@dataclass(frozen=True)
class Difference:
    """A run's figure less another run's.

    Attributes:
        run, against: their names.
        task, figure: which figure, by the names of `FIGURES`.
        value: run less against: below 0, the run is worse.
        low, high: 95 % interval of the difference, both runs scored on the same draws of recordings; None where they
            were not scored again.
    """

    run: str
    against: str
    task: str
    figure: str
    value: float
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Comparison:
    """Runs side by side.

    Attributes:
        rows: the runs, in order.
        summaries: of configurations with several runs.
        mismatches: which runs must not be compared, and why.
        differences: to the runs that were named for it.
        difference_method: how their intervals were made, or why there are none; empty without differences.
        sort: what the rows are in order of; "given" for as they were given.
        command: what makes this comparison again.
    """

    rows: tuple[RunRow, ...]
    summaries: tuple[Summary, ...]
    mismatches: tuple[Mismatch, ...]
    differences: tuple[Difference, ...] = ()
    difference_method: str = ""
    sort: str = "given"
    command: str = ""

    def to_dict(self) -> dict[str, Any]:
        """As plain values, for JSON."""
        return {"schema": SCHEMA, **asdict(self)}

    def save(self, path: str | Path) -> Path:
        """Writes it as JSON."""
        return files.write_json(path, self.to_dict())


def _best_first(row: RunRow, figure: str) -> tuple[bool, float]:
    return (figure not in row.figures, -row.figures[figure].value if figure in row.figures else 0.0)


def _least_first(value: float | None) -> tuple[bool, float]:
    return (value is None, value or 0.0)


#: What rows can be put in order of: figures from the best down, costs and minutes from the least up, names by alphabet.
SORTS: dict[str, Callable[[RunRow], Any]] = {
    "given": lambda row: 0,
    "name": lambda row: row.name,
    **{key.removesuffix("_macro"): partial(_best_first, figure=key) for key in FIGURES},
    "params": lambda row: _least_first(row.params),
    "macs": lambda row: _least_first(row.macs_per_second),
    "minutes": lambda row: _least_first(row.training_minutes),
}


def in_order(rows: Iterable[RunRow], sort: str) -> list[RunRow]:
    """Rows in order of `sort`, a key of `SORTS`; ties, and rows without the figure at the end, stay as given."""
    return sorted(rows, key=SORTS[sort])
