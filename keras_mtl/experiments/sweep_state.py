"""The state of a sweep, `sweep.json`: what is done, what is waiting, what failed and why.

It is written whole after each run, so that it is true at any time. A run folder is its own witness: a run with a
`run.json` is done, whatever the state says.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from keras_mtl.core import RunError, files, read

SCHEMA = "keras_mtl.sweep/1"
FILE = "sweep.json"
STATES = ("waiting", "done", "failed")


@dataclass(frozen=True)
class SweepRun:
    """One run.

    Attributes:
        name: also that of its folder in the sweep's.
        overrides: of the recipe.
        state: one of `STATES`.
        reason: why it failed, one line.
        minutes: of all sittings, start and scoring included.
    """

    name: str
    overrides: tuple[str, ...]
    state: str = "waiting"
    reason: str = ""
    minutes: float = 0.0


@dataclass(frozen=True)
class Sweep:
    """A sweep and how far it is.

    Attributes:
        recipe, data, fixed: what all runs have in common; `fixed` are overrides.
        recipe_sha256: of the recipe with these overrides, every key: a recipe file may change between sittings.
        axes: {key: values}.
        runs: in order of the product.
    """

    recipe: str
    recipe_sha256: str
    data: str
    fixed: tuple[str, ...]
    axes: dict[str, tuple[str, ...]]
    runs: tuple[SweepRun, ...]

    @property
    def waiting(self) -> tuple[SweepRun, ...]:
        """What is still to be run; what failed is tried again by a later sitting."""
        return tuple(run for run in self.runs if run.state == "waiting")

    @property
    def failed(self) -> tuple[SweepRun, ...]:
        """What went wrong."""
        return tuple(run for run in self.runs if run.state == "failed")

    def with_run(self, changed: SweepRun) -> Sweep:
        """The sweep with a run's new state."""
        return replace(self, runs=tuple(changed if run.name == changed.name else run for run in self.runs))

    def to_dict(self) -> dict[str, Any]:
        """As plain values, for JSON."""
        return {"schema": SCHEMA, **asdict(self)}

    def save(self, folder: str | Path) -> Path:
        """Writes `sweep.json` into the sweep's folder."""
        return files.write_json(Path(folder) / FILE, self.to_dict())

    @classmethod
    def load(cls, folder: str | Path) -> Sweep:
        """Reads a sweep's folder.

        Raises:
            RunError: it has no `sweep.json`, or that can't be read.
        """
        path = Path(folder) / FILE
        try:
            document = json.loads(path.read_text(encoding="utf-8"))
            if document.pop("schema", None) != SCHEMA:
                raise RunError(f"{path} is not of schema {SCHEMA!r}")
        except (OSError, ValueError, AttributeError) as error:
            raise RunError(f"{path} can't be read as a sweep: {error}") from None
        return read(cls, document, f"{path} can't be read as a sweep", RunError)


def take_up(planned: Sweep, folder: Path, resume: bool) -> Sweep:
    """The planned sweep with what its folder shows to be done already.

    Args:
        planned: what is asked for.
        folder: the sweep's folder; must not hold anything unless `resume`.
        resume: go on with what is there. Values may have been added to an axis since, not taken away.

    Raises:
        RunError: the folder is in use, or holds another sweep.
    """
    if folder.exists() and not folder.is_dir():
        raise RunError(f"{folder} is a file", hint="name a folder to make")
    if not folder.is_dir() or not any(folder.iterdir()):
        return planned
    if not resume:
        raise RunError(f"{folder} holds something already", hint="name another folder, or go on with --resume")
    before = Sweep.load(folder)
    differing = [
        word
        for word, mine, theirs in (
            ("recipe", planned.recipe_sha256, before.recipe_sha256),
            ("data", planned.data, before.data),
            ("--set", planned.fixed, before.fixed),
            ("axes", tuple(planned.axes), tuple(before.axes)),
        )
        if mine != theirs
    ]
    missing = {run.name for run in before.runs} - {run.name for run in planned.runs}
    if differing or missing:
        what = ", ".join(differing or [f"no {name}" for name in sorted(missing)])
        raise RunError(f"{folder} was begun as another sweep: {what}", hint=f"compare with {folder / FILE}")
    known = {run.name: run for run in before.runs}
    runs = []
    for run in planned.runs:
        minutes = known[run.name].minutes if run.name in known else 0.0
        done = (folder / run.name / "run.json").is_file()
        runs.append(replace(run, state="done" if done else "waiting", minutes=minutes))
    return replace(planned, runs=tuple(runs))


def expand(paths: Iterable[Path]) -> list[Path]:
    """Run folders, with the finished runs of a sweep in place of the sweep's own folder.

    Raises:
        RunError: a sweep that has no finished run.
    """
    found = []
    for path in paths:
        if not (path / FILE).is_file():
            found.append(path)
            continue
        done = [path / run.name for run in Sweep.load(path).runs if (path / run.name / "run.json").is_file()]
        if not done:
            raise RunError(f"{path} is a sweep without a finished run", hint="go on with keras_mtl sweep --resume")
        found += done
    return found
