"""Runs native code (converters, interpreters) in a process of its own, with a time limit.

Such code can segfault or hang. The parent gets either the answer or one clear error, never a crash. A worker is a
module with a function `work(request) -> dict`; request and answer are JSON, and large arrays travel as files.
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

from keras_mtl import errors

_TAIL_CHARACTERS = 400


def run_isolated(
    worker: str, request: dict[str, Any], timeout_s: float, environment: dict[str, str] | None = None
) -> dict[str, Any]:
    """Calls `worker.work(request)` in a new Python process.

    Args:
        worker: dotted name of a module that has `work(request: dict) -> dict`.
        request: what the worker is given; must be JSON.
        timeout_s: seconds after which the process is killed.
        environment: variables set in that process on top of this one's.

    Returns:
        The worker's answer.

    Raises:
        EngineTimeout: it did not come back in time.
        EngineCrash: it died by a signal or without an answer.
        KerasMtlError: the very error that the worker raised on purpose.
    """
    with tempfile.TemporaryDirectory(prefix="keras_mtl_") as folder:
        question, answer = Path(folder, "request.json"), Path(folder, "answer.json")
        question.write_text(json.dumps(request))
        command = [sys.executable, "-m", "keras_mtl.isolation", worker, str(question), str(answer)]
        try:
            done = subprocess.run(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                timeout=timeout_s,
                env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "2", **(environment or {})},
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise errors.EngineTimeout(
                f"{worker} did not come back within {timeout_s:.0f} s and was stopped",
                hint="a model that hangs an interpreter usually holds a WHILE loop",
            ) from None
        if answer.exists():
            document = json.loads(answer.read_text())
            if "error" in document:
                raise errors.by_name(document["error"])(document["message"], hint=document["hint"])
            return document["result"]
        raise errors.EngineCrash(_describe_death(worker, done.returncode, done.stdout))


def _describe_death(worker: str, code: int, output: bytes) -> str:
    lines = [line.strip() for line in output.decode("utf-8", "replace").splitlines() if line.strip()]
    tail = lines[-1][-_TAIL_CHARACTERS:] if lines else "it printed nothing"
    how = f"killed by {signal.Signals(-code).name}" if code < 0 else f"exit {code}"
    return f"{worker} died ({how}); last line: {tail}"


def _main(worker: str, question: str, answer: str) -> None:
    request = json.loads(Path(question).read_text())
    try:
        document: dict[str, Any] = {"result": importlib.import_module(worker).work(request)}
    except errors.KerasMtlError as error:
        document = {"error": type(error).__name__, "message": error.message, "hint": error.hint}
    temporary = Path(answer + ".part")
    temporary.write_text(json.dumps(document))
    temporary.replace(answer)
    # Native libraries may crash while they are torn down, after the answer is complete.
    sys.stdout.flush()
    os._exit(0)


if __name__ == "__main__":
    _main(*sys.argv[1:])
