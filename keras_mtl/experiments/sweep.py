"""Runs the trainings of a sweep one after the other, and puts what they reached side by side."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from keras_mtl.core import RunError, files
from keras_mtl.experiments.sweep_state import Sweep, SweepRun, take_up

_TAIL_CHARACTERS = 400
_PATIENCE_S = 30.0


@dataclass(frozen=True)
class Training:
    """What a process is to train; all paths absolute, as another machine's process may run it.

    Attributes:
        name: the run's.
        run: its folder; a training that is begun there goes on.
        log: the file that what it prints is added to.
        recipe, overrides, data, cache: as of `keras_mtl train`.
    """

    name: str
    run: Path
    log: Path
    recipe: str
    overrides: tuple[str, ...]
    data: str
    cache: Path

    @property
    def command(self) -> list[str]:
        """The command line. -P: a folder that holds a checkout must not lend its `datasets` to other packages."""
        words = [sys.executable, "-P", "-m", "keras_mtl", "train", "--recipe", self.recipe, "--data", self.data]
        words += ["--out", str(self.run), "--cache", str(self.cache), "--resume"]
        return [*words, *(word for item in self.overrides for word in ("--set", item))]


@dataclass(frozen=True)
class Outcome:
    """How it ended: `reason` is empty where the run is finished."""

    reason: str
    minutes: float


def run_training(training: Training, held: tuple[int, ...] = ()) -> Outcome:
    """Trains, or goes on training, in a new process, and waits for it.

    Args:
        training: what.
        held: file descriptors that the process keeps open as long as it lives: a lock, for example.

    Raises:
        KeyboardInterrupt: this process was interrupted. The other one has stopped; what it finished is in its folder.
    """
    training.log.parent.mkdir(parents=True, exist_ok=True)
    started = time.monotonic()
    with training.log.open("ab") as log:
        begin = log.tell()
        process = subprocess.Popen(
            training.command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, pass_fds=held
        )
        try:
            code = process.wait()
        except BaseException:
            _stop(process)
            raise
    minutes = (time.monotonic() - started) / 60
    if code == 0 and (training.run / "run.json").is_file():
        return Outcome("", minutes)
    return Outcome(_reason(code, training.log, begin), minutes)


def _stop(process: subprocess.Popen[bytes]) -> None:
    """Waits for a process that the terminal interrupted; interrupts it, and then kills it, where it goes on."""
    for patience_s, end in ((2.0, lambda: process.send_signal(signal.SIGINT)), (_PATIENCE_S, process.kill)):
        try:
            process.wait(patience_s)
            return
        except subprocess.TimeoutExpired:
            end()
    process.wait()


def _reason(code: int, log: Path, begin: int) -> str:
    with log.open("rb") as file:
        file.seek(begin)
        lines = [line.strip() for line in file.read().decode("utf-8", "replace").splitlines() if line.strip()]
    last = lines[-1][-_TAIL_CHARACTERS:] if lines else "it printed nothing"
    if last.startswith("error: "):
        return last.removeprefix("error: ")
    how = f"killed by {signal.Signals(-code).name}" if code < 0 else f"exit {code}"
    return f"its process died ({how}); last line: {last}"


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
        planned: the sweep, as `plan_sweep` gives it.
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
    if folder.exists() and not folder.is_dir():
        raise RunError(f"{folder} is a file", hint="name a folder to make")

    def refuse() -> None:
        raise RunError(f"another sweep, or a training that it left behind, is at work in {folder}", hint="wait for it")

    # The trainings hold the lock too: two in one run folder would spoil each other, also after the sweep's own end.
    with files.one_at_a_time(folder, refuse) as lock:
        sweep = take_up(planned, folder, resume)
        sweep.save(folder)
        total = len(sweep.runs)
        for run in sweep.runs:
            if run.state == "done":
                say(f"{run.name}: done before")

        def ended(name: str, outcome: Outcome) -> None:
            nonlocal sweep
            before = next(run for run in sweep.runs if run.name == name)
            state, minutes = "failed" if outcome.reason else "done", round(before.minutes + outcome.minutes, 2)
            sweep = sweep.with_run(replace(before, state=state, reason=outcome.reason, minutes=minutes))
            sweep.save(folder)
            open_still = len(sweep.waiting)
            how = f"failed: {outcome.reason}" if outcome.reason else "done"
            say(f"[{total - open_still}/{total}] {name}: {how} ({outcome.minutes:.1f} min)")

        trainings = [_training(sweep, run, folder, Path(cache)) for run in sweep.waiting]
        (runner or one_by_one(say, () if lock is None else (lock,)))(trainings, ended)
    return sweep


def one_by_one(say: Callable[[str], None], held: tuple[int, ...] = ()) -> Runner:
    """Runs trainings on this machine, one after the other."""

    def run(trainings: list[Training], ended: Callable[[str, Outcome], None]) -> None:
        for training in trainings:
            say(f"{training.name}: training (log: {training.log})")
            ended(training.name, run_training(training, held))

    return run


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
