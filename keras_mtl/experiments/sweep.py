"""Runs the trainings of a sweep one after the other, and puts what they reached side by side."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from keras_mtl.core import RunError
from keras_mtl.experiments.sweep_process import Outcome, Training, run_training
from keras_mtl.experiments.sweep_state import Sweep, SweepRun, take_up

#: Runs trainings, and calls back with the outcome of each as it ends.
Runner = Callable[[list[Training], Callable[[str, Outcome], None]], None]


def run_sweep(
    planned: Sweep,
    folder: str | Path,
    cache: str | Path,
    resume: bool = False,
    say: Callable[[str], None] = print,
    runner: Runner | None = None,
) -> Sweep:
    """Trains what is not done yet.

    Each training is a process of its own, which writes the run folder `folder`/NAME, and `folder`/logs/NAME.log. A
    training that fails does not stop the others. `folder`/sweep.json is true after each of them.

    Args:
        planned: the sweep, as `Sweep.of(plan_sweep(...), data)` gives it.
        folder: where to; must not hold anything unless `resume`.
        cache: where prepared data are kept.
        resume: go on with an interrupted sweep: what is done is skipped, what was begun goes on, what failed is tried
            again.
        say: takes a line of progress.
        runner: how the trainings are run; one after the other on this machine by default.

    Returns:
        The sweep with the state of each run.

    Raises:
        RunError: the folder is in use, or holds another sweep.
        KeyboardInterrupt: it was interrupted; the state is written.
    """
    folder = Path(folder).absolute()
    with _alone_in(folder) as lock:
        sweep = take_up(planned, folder, resume)
        sweep.save(folder)
        total = len(sweep.runs)
        for run in sweep.runs:
            if run.state == "done":
                say(f"{run.name}: done before")

        def ended(name: str, outcome: Outcome) -> None:
            nonlocal sweep
            before = next(run for run in sweep.runs if run.name == name)
            sweep = sweep.with_run(after(before, outcome))
            sweep.save(folder)
            open_still = len(sweep.waiting)
            how = f"failed: {outcome.reason}" if outcome.reason else "done"
            say(f"[{total - open_still}/{total}] {name}: {how} ({outcome.minutes:.1f} min)")

        trainings = [_training(sweep, run, folder, Path(cache)) for run in sweep.waiting]
        (runner or one_by_one(say, (lock,)))(trainings, ended)
    return sweep


def one_by_one(say: Callable[[str], None], held: tuple[int, ...] = ()) -> Runner:
    """Runs trainings on this machine, one after the other."""

    def run(trainings: list[Training], ended: Callable[[str, Outcome], None]) -> None:
        for training in trainings:
            say(f"{training.name}: training (log: {training.log})")
            ended(training.name, run_training(training, held))

    return run


def after(run: SweepRun, outcome: Outcome) -> SweepRun:
    """A run's state when a process of it has ended."""
    state = "failed" if outcome.reason else "done"
    return replace(run, state=state, reason=outcome.reason, minutes=round(run.minutes + outcome.minutes, 2))


def _training(sweep: Sweep, run: SweepRun, folder: Path, cache: Path) -> Training:
    def absolute(name: str) -> str:
        return str(Path(name).absolute()) if Path(name).exists() else name  # else a word, as "soundscapes"

    recipe = absolute(sweep.recipe) if Path(sweep.recipe).is_file() else sweep.recipe
    return Training(
        run.name,
        folder / run.name,
        folder / "logs" / f"{run.name}.log",
        recipe,
        run.overrides,
        absolute(sweep.data),
        cache.absolute(),
    )


@contextmanager
def _alone_in(folder: Path) -> Iterator[int]:
    """Holds the folder for this process and those it starts: two trainings in one run folder would spoil each other.

    Gives the file descriptor that holds it. The lock ends with the last process that has that open: also a training
    which outlived the sweep that started it.
    """
    if folder.exists() and not folder.is_dir():
        raise RunError(f"{folder} is a file", hint="name a folder to make")
    folder.mkdir(parents=True, exist_ok=True)
    lock = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise RunError(
                f"another sweep, or a training that it left behind, is at work in {folder}", hint="wait for it"
            ) from None
        yield lock
    finally:
        os.close(lock)
