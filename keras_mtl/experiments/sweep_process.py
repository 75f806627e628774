"""One training of a sweep in a process of its own: no seed, graph or memory of one leaks into the next."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

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
    """Lets a process that was told to stop by the terminal do so; tells it, and then makes it, where it does not."""
    for patience_s, tell in ((2.0, lambda: process.send_signal(signal.SIGINT)), (_PATIENCE_S, process.kill)):
        try:
            process.wait(patience_s)
            return
        except subprocess.TimeoutExpired:
            tell()
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
