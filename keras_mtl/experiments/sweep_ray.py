"""Runs the trainings of a sweep as trials of Ray Tune, on a cluster or on the cores of one machine.

Ray is the extra `sweep`, and no part of the locked environment. All machines must see the sweep's folder, the data and
the cache under the same paths, and have this package installed.
"""

from __future__ import annotations

import contextlib
import importlib.util
import logging
import os
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from keras_mtl.core import RunError
from keras_mtl.experiments.sweep import Outcome, Runner, Training, run_training

#: The address that stands for the cores of this machine, without a cluster.
LOCAL = "local"


def with_ray(address: str, storage: str | Path, cpus: float = 2.0, gpus: float = 0.0) -> Runner:
    """A runner whose trainings are trials of Ray Tune.

    Args:
        address: of the cluster; "auto" for the one that this machine belongs to, "local" for this machine alone.
        storage: an absolute path: where Ray keeps its own records.
        cpus: cores that each training is given.
        gpus: and GPUs.

    Raises:
        RunError: Ray is not installed, or there is no such cluster.
    """
    if importlib.util.find_spec("ray") is None:
        raise RunError("Ray is not installed", hint="pip install 'keras_mtl[sweep]', or leave out --ray")

    def run(trainings: list[Training], ended: Callable[[str, Outcome], None]) -> None:
        if trainings:
            _run(trainings, ended, address, Path(storage), {"cpu": cpus, "gpu": gpus})

    return run


def _run(
    trainings: list[Training],
    ended: Callable[[str, Outcome], None],
    address: str,
    storage: Path,
    resources: dict[str, float],
) -> None:
    # No statistics to its makers, and no second set of logs: run folders have their own.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("TUNE_DISABLE_AUTO_CALLBACK_LOGGERS", "1")
    import ray
    from ray import tune

    ended_names: set[str] = set()

    class OnEnd(tune.Callback):
        """Reports the outcome of each trial as it ends."""

        def on_trial_result(self, iteration: int, trials: Any, trial: Any, result: Any, **info: Any) -> None:
            """A training has ended."""
            report(trial.config["training"]["name"], Outcome(result["reason"], result["minutes"]))

        def on_trial_error(self, iteration: int, trials: Any, trial: Any, **info: Any) -> None:
            """A trial was lost, with its machine perhaps."""
            report(trial.config["training"]["name"], Outcome("its trial was lost: see Ray's log", 0.0))

    def report(name: str, outcome: Outcome) -> None:
        if name not in ended_names:
            ended_names.add(name)
            ended(name, outcome)

    try:
        ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
    except (ConnectionError, ValueError, RuntimeError) as error:
        reason = str(error).strip().splitlines()[0]
        raise RunError(f"no Ray cluster at {address!r}: {reason}", hint=f"--ray {LOCAL} uses this machine") from None
    try:
        tuner = tune.Tuner(
            tune.with_resources(trial, resources),
            param_space={"training": tune.grid_search([_plain(training) for training in trainings])},
            tune_config=tune.TuneConfig(trial_dirname_creator=lambda each: each.config["training"]["name"]),
            run_config=tune.RunConfig(name="ray", storage_path=str(storage), callbacks=[OnEnd()], verbose=0),
        )
        # stdout belongs to the command's result.
        with contextlib.redirect_stdout(sys.stderr):
            tuner.fit()
    finally:
        ray.shutdown()
    if len(ended_names) < len(trainings):  # Tune ends in peace when it is interrupted
        raise KeyboardInterrupt


def trial(config: dict[str, Any]) -> dict[str, Any]:
    """One trial: a training in a process of its own on the machine where Ray put it."""
    values = config["training"]
    paths = {name: Path(values[name]) for name in ("run", "log", "cache")}
    outcome = run_training(Training(**{**values, **paths, "overrides": tuple(values["overrides"])}))
    return asdict(outcome)


def _plain(training: Training) -> dict[str, Any]:
    """With paths as text and lists for tuples, as it travels."""
    return {k: str(v) if isinstance(v, Path) else v for k, v in asdict(training).items()}
