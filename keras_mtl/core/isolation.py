"""Runs native code (converters, interpreters) in a process of its own, with a time limit.

Such code can segfault or hang. The parent gets either the result or one clear error, never a crash. A worker is a
module with a function `work(request) -> dict`; request and result are JSON, and large arrays travel as files.
"""

from __future__ import annotations

import importlib
import json
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from keras_mtl.core import errors

try:
    import resource
except ImportError:  # Windows has no such limits
    resource = None  # type: ignore[assignment]

#: Packages that TensorFlow imports by way of Keras where they are installed, for what neither workers nor commands
#: use: a quarter of the seconds that its import takes.
UNUSED_PACKAGES = ("matplotlib", "sklearn")
_TAIL_CHARACTERS = 400


def run_isolated(
    worker: str,
    request: dict[str, Any],
    timeout_s: float,
    environment: dict[str, str] | None = None,
    most_bytes: int | None = None,
) -> dict[str, Any]:
    """Calls `worker.work(request)` in a new Python process.

    Args:
        worker: dotted name of a module that has `work(request: dict) -> dict`.
        request: what the worker is given; must be JSON.
        timeout_s: seconds after which the process is killed.
        environment: variables set in that process on top of this one's.
        most_bytes: what that process may address; an eighth of it is what it may write to any one file. None for no
            limit. What asks for more gets none, and fails; the machine goes on.

    Returns:
        The worker's result.

    Raises:
        EngineTimeout: it did not come back in time.
        EngineCrash: it died by a signal or without a result.
        KerasMtlError: the very error that the worker raised on purpose.
    """
    with tempfile.TemporaryDirectory(prefix="keras_mtl_") as folder:
        request_file, result_file = Path(folder, "request.json"), Path(folder, "result.json")
        request_file.write_text(json.dumps(request))
        printed = Path(folder, "output.txt")
        command = [sys.executable, "-m", "keras_mtl.core.isolation", worker, str(request_file), str(result_file)]
        # What libraries leave in the folder for temporary files, TensorFlow above all, must not outlive the process.
        variables = {"TF_CPP_MIN_LOG_LEVEL": "2", "TMPDIR": folder, **(environment or {})}
        try:
            # To a file: what a process prints without an end must not fill this one's memory.
            with printed.open("wb") as output:
                done = subprocess.run(
                    [*command, str(most_bytes or 0)],
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    timeout=timeout_s,
                    env={**os.environ, **variables},
                    check=False,
                )
        except subprocess.TimeoutExpired:
            raise errors.EngineTimeout(
                f"{worker} did not come back within {timeout_s:.0f} s and was stopped",
                hint="a model that hangs an interpreter usually holds a WHILE loop",
            ) from None
        if result_file.exists():
            document = json.loads(result_file.read_text())
            if "error" in document:
                raise errors.by_name(document["error"])(document["message"], hint=document["hint"])
            return document["result"]
        raise errors.EngineCrash(_describe_death(worker, done.returncode, last_line(printed)))


def last_line(path: Path) -> str:
    """The last line with anything in it of a file that native code wrote, or its end; empty where there is none."""
    if not path.exists():
        return ""
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - 4 * _TAIL_CHARACTERS))
        lines = file.read().decode("utf-8", "replace").splitlines()
    last = next((line.strip() for line in reversed(lines) if line.strip()), "")[-_TAIL_CHARACTERS:]
    return "".join(character if character.isprintable() else "\ufffd" for character in last)


def _describe_death(worker: str, code: int, last: str) -> str:
    how = f"exit {code}"
    if code < 0:
        names = {member.value: member.name for member in signal.Signals}
        how = f"killed by {names.get(-code, f'signal {-code}')}"
    return f"{worker} died ({how}); last line: {last or 'it printed nothing'}"


def limit_process(most_bytes: int) -> None:
    """Holds this process to its limits, and lets a crash leave no memory image behind.

    Args:
        most_bytes: as of `run_isolated`; 0 for no limit. Windows knows none.
    """
    if resource is None:
        return
    _, highest = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (0, highest))
    if most_bytes:
        for kind, most in ((resource.RLIMIT_AS, most_bytes), (resource.RLIMIT_FSIZE, most_bytes // 8)):
            soft, highest = resource.getrlimit(kind)
            lower = [most, *(limit for limit in (soft, highest) if limit != resource.RLIM_INFINITY)]
            resource.setrlimit(kind, (min(lower), highest))


def _main(worker: str, request_file: str, result_file: str, most_bytes: str) -> None:
    limit_process(int(most_bytes))
    request = json.loads(Path(request_file).read_text())
    for name in UNUSED_PACKAGES:  # as if they were not installed
        sys.modules[name] = None  # type: ignore[assignment]
    try:
        document: dict[str, Any] = {"result": importlib.import_module(worker).work(request)}
    except errors.KerasMtlError as error:
        document = {"error": type(error).__name__, "message": error.message, "hint": error.hint}
    temporary = Path(result_file + ".part")
    temporary.write_text(json.dumps(document))
    temporary.replace(result_file)
    # Native libraries may crash while they are torn down, after the result is complete.
    sys.stdout.flush()
    os._exit(0)


if __name__ == "__main__":
    _main(*sys.argv[1:])
