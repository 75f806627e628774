"""Puts run folders side by side: rows, summaries over seeds, and which rows must not be compared."""

from __future__ import annotations

import hashlib
import json
import math
import statistics
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from keras_mtl.algorithms import ALGORITHMS
from keras_mtl.core import KerasMtlError, RunError
from keras_mtl.cost import run_cost
from keras_mtl.experiments.comparison import (
    FIGURES,
    Comparison,
    Conflict,
    Figure,
    Mismatch,
    RunRow,
    Spread,
    Summary,
    in_order,
)
from keras_mtl.runs import Run
from keras_mtl.training import conflict_logs, read_conflict


def compare(paths: Sequence[str | Path], sort: str = "given", command: str = "") -> Comparison:
    """Reads run folders and puts them side by side.

    Args:
        paths: the run folders; one that is named twice counts once.
        sort: a key of `experiments.SORTS`.
        command: the command line that makes it.

    Raises:
        RunError: a run folder that can't be read, or runs of a task with other labels.

    Example:
        >>> compare(["runs/soft", "runs/hard"], sort="event_f1").save("comparison.json")
    """
    folders = list({Path(path).resolve(): Path(path) for path in paths}.values())
    runs = [Run.load(folder) for folder in folders]
    _require_same_labels(runs)
    rows = [_row(name, run) for name, run in zip(short_names(folders), runs, strict=True)]
    return Comparison(
        tuple(in_order(rows, sort)),
        tuple(_summaries(in_order(rows, sort))),
        tuple(_mismatches(rows)),
        sort=sort,
        command=command,
    )


def short_names(paths: Sequence[Path]) -> list[str]:
    """The shortest end of each path that no other one has."""
    parts = [path.resolve().parts for path in paths]
    names = []
    for own in parts:
        length = next(n for n in range(1, len(own) + 1) if sum(other[-n:] == own[-n:] for other in parts) == 1)
        names.append("/".join(own[-length:]))
    return names


def _require_same_labels(runs: Sequence[Run]) -> None:
    first: dict[str, Run] = {}
    for run in runs:
        for task in run.labels.to_dict():
            other = first.setdefault(task, run)
            other.labels.require_same(
                run.labels, [task], str(other.path), str(run.path), RunError, "compare runs of one list of labels"
            )


def _row(name: str, run: Run) -> RunRow:
    info = run.info
    recipe, remark = _plain_recipe(run), ""
    quantization = info.get("quantization", {})
    try:
        of_run = run_cost(run)
        params, macs_per_second = of_run.params, of_run.macs_per_second
    except (KerasMtlError, ValueError) as error:
        params, macs_per_second, remark = None, None, f"not counted: {error}"
    try:
        metrics = info["metrics"]
        # A quantized run was scored when it was quantized, perhaps on other data than those it was trained on.
        data = quantization.get("data", info["data"])
        fingerprint = data["fingerprint"]
        system, seed, stage = info["system"], info["seed"], info["stage"]
    except KeyError as error:
        raise RunError(f"{run.path / 'run.json'} has no {error}", hint="train the run anew") from None
    train = recipe.get("train", {})
    seconds = info.get("training_seconds")
    return RunRow(
        name=name,
        path=str(run.path),
        stage=stage,
        scheme=info.get("scheme"),
        system=system,
        recipe=info.get("recipe", ""),
        algorithm=train.get("algorithm", ""),
        seed=seed,
        tasks=tuple(info.get("tasks", metrics)),
        epochs=_epochs(run, train) | ({"quantize": quantization["epochs"]} if "epochs" in quantization else {}),
        params=params,
        macs_per_second=macs_per_second,
        training_minutes=None if seconds is None else round(seconds / 60, 2),
        data=data.get("name", ""),
        fingerprint=fingerprint,
        clips={task: metrics[task]["clips"] for task in ("scenes", "events") if task in metrics},
        tool=metrics.get("events", {}).get("tool", ""),
        configuration=_configuration(recipe, info, fingerprint),
        figures=_figures(metrics),
        conflict=_conflict(run.path),
        remark=remark,
        settings=data.get("settings", {}),
    )


def _plain_recipe(run: Run) -> dict[str, Any]:
    """The recipe as it stands in the folder: also one of another version, with keys that this one does not know."""
    try:
        return tomllib.loads((run.path / "recipe.toml").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise RunError(f"{run.path / 'recipe.toml'} can't be read: {error}") from None


def _epochs(run: Run, train: dict[str, Any]) -> dict[str, int]:
    """Passes by phase; nothing for an algorithm or a recipe that this version does not know."""
    try:
        return {phase.name: phase.epochs for phase in ALGORITHMS[train["algorithm"]](run.recipe.train)}
    except (KerasMtlError, KeyError):
        return {}


def _figures(metrics: dict[str, Any]) -> dict[str, Figure]:
    found = {}
    for key, (task, _) in FIGURES.items():
        if key in metrics.get(task, {}):
            low, high = metrics[task].get("intervals", {}).get(key) or (None, None)
            found[key] = Figure(metrics[task][key], low, high)
    return found


def _conflict(run: Path) -> Conflict | None:
    cosines = [cosine for log in conflict_logs(run).values() for *_, cosine in read_conflict(log)]
    if not cosines:
        return None
    mean = math.fsum(cosines) / len(cosines)
    return Conflict(mean, sum(cosine < 0 for cosine in cosines) / len(cosines), len(cosines))


def _configuration(recipe: dict[str, Any], info: dict[str, Any], fingerprint: str) -> str:
    """The same for runs that differ in their seed alone, and in what follows from its split.

    These are the normalisation, and the numbers that were found for median filters of "auto".
    """
    groups = {group: values for group, values in recipe.items() if isinstance(values, dict)}
    if "tuning" not in info:
        groups["decode"] = info.get("decode", groups.get("decode", {}))
    groups["train"] = {key: value for key, value in groups.get("train", {}).items() if key != "seed"}
    groups["features"] = {k: v for k, v in groups.get("features", {}).items() if k not in ("mean_db", "std_db")}
    stage = [info["stage"], info.get("scheme"), info.get("quantization", {}).get("epochs")]
    stage += [info["engine"]] if info.get("engine", "native") != "native" else []
    identity = json.dumps([groups, stage, fingerprint], sort_keys=True)
    return hashlib.sha256(identity.encode()).hexdigest()[:16]


def _summaries(rows: Sequence[RunRow]) -> list[Summary]:
    groups: dict[Any, list[RunRow]] = {}
    for row in rows:
        groups.setdefault((row.configuration, tuple(sorted(row.clips.items())), row.tool), []).append(row)
    return [_summary(group) for group in groups.values() if len(group) > 1]


def _summary(rows: Sequence[RunRow]) -> Summary:
    first = rows[0]
    figures = {}
    for key in FIGURES:
        values = [row.figures[key].value for row in rows if key in row.figures]
        if len(values) > 1:
            figures[key] = Spread(statistics.fmean(values), statistics.stdev(values), len(values))
    name = " ".join(word for word in (first.system, algorithm_of(first), first.scheme) if word)
    return Summary(first.configuration, name, tuple(r.name for r in rows), tuple(r.seed for r in rows), figures)


def algorithm_of(row: RunRow) -> str:
    """The algorithm; `single` with its task."""
    return f"{row.algorithm}:{row.tasks[0]}" if row.algorithm == "single" else row.algorithm


def _mismatches(rows: Sequence[RunRow]) -> list[Mismatch]:
    found = []
    for task in ("scenes", "events"):
        sets: dict[tuple[str, int, str, str], list[RunRow]] = {}
        for row in rows:
            if task in row.clips:
                sets.setdefault(row.scored_on(task), []).append(row)
        if len(sets) > 1:
            parts = tuple(
                {
                    "data": group[0].data,
                    "fingerprint": fingerprint,
                    "clips": clips,
                    "tool": tool,
                    "settings": settings,
                    "runs": [row.name for row in group],
                }
                for (fingerprint, clips, tool, settings), group in sets.items()
            )
            found.append(Mismatch(task, parts))
    return found
