"""Seeds to be damaged, ways to damage them, and a process that emulates what came out, with a watchdog on it."""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # for the modules beside this one: pytest imports tests without them

#: The command line in this process, call after call, as `keras_mtl` runs it; prints what became of each.
_RUNNER = """
import contextlib, io, json, os, pathlib, resource, sys, time, traceback
resource.setrlimit(resource.RLIMIT_AS, (4 << 30, 4 << 30))
from keras_mtl import cli
for line in sys.stdin:
    sys.argv = ["keras_mtl", *json.loads(line)]
    out, err, code, began = io.StringIO(), io.StringIO(), 0, time.monotonic()
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            cli.main()
    except SystemExit as stop:
        code = stop.code or 0
    except BaseException:
        code = traceback.format_exc()
    # Not getrusage: its peak begins with that of the process that started this one.
    peak = pathlib.Path("/proc/self/status").read_text().partition("VmHWM:")[2].split()[0]
    took = {"seconds": time.monotonic() - began, "peak": int(peak) << 10}
    print(json.dumps({"code": code, "out": out.getvalue(), "err": err.getvalue(), **took}), flush=True)
"""
_PATIENCE_S = 120.0
_PEAK_BYTES = 1 << 30


@dataclass(frozen=True)
class Outcome:
    """What one call came to: `kind` is "passed", "failed", "refused", or what must not be."""

    name: str
    kind: str
    seconds: float
    detail: str = ""

    @property
    def sound(self) -> bool:
        return self.kind in ("passed", "failed", "refused")


class Emulations:
    """Calls `keras_mtl emulate` many times in one process, kills it where it hangs, and goes on in a new one."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._page, self._calls = folder, folder.parent / "page.html", 0
        self._process: subprocess.Popen[bytes] | None = None
        folder.mkdir()

    def __call__(self, calls: Iterable[tuple[str, Path, str]], timeout_s: float = 5.0) -> list[Outcome]:
        """Emulates (name, path, target) one by one, with so many seconds for each interpreter."""
        try:
            return [_noted(self._one(name, path, target, timeout_s)) for name, path, target in calls]
        finally:
            self._stop()

    def left_behind(self) -> list[str]:
        """Temporary files that were not taken away."""
        return [path.name for path in self._folder.iterdir()]

    def _one(self, name: str, path: Path, target: str, timeout_s: float) -> Outcome:
        if self._process is None:
            self._process = subprocess.Popen(
                [sys.executable, "-c", _RUNNER],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env={**os.environ, "TMPDIR": str(self._folder)},
            )
        began = time.monotonic()
        self._calls += 1
        self._page.unlink(missing_ok=True)
        arguments = ["emulate", str(path), "--target", target, "--timeout", str(timeout_s)]
        arguments += [["--json"], ["--html", str(self._page)]][self._calls % 2]
        self._process.stdin.write(json.dumps(arguments).encode() + b"\n")
        self._process.stdin.flush()
        heard = b""
        while not heard.endswith(b"\n"):
            left = _PATIENCE_S - (time.monotonic() - began)
            ready, _, _ = select.select([self._process.stdout], [], [], max(0.0, left))
            part = os.read(self._process.stdout.fileno(), 1 << 20) if ready else b""
            if not part:
                self._process.kill()
                self._process.communicate()
                died, self._process = self._process.returncode, None
                return Outcome(name, "died" if ready else "hung", time.monotonic() - began, f"status {died}")
            heard += part
        return _judged(name, json.loads(heard), None if "--json" in arguments else self._page)

    def _stop(self) -> None:
        if self._process is not None:
            self._process.communicate()
            self._process = None


def _noted(outcome: Outcome) -> Outcome:
    """Adds an outcome to the file that the variable names, so that a long run can be watched."""
    if "KERAS_MTL_FUZZ_LOG" in os.environ:
        with Path(os.environ["KERAS_MTL_FUZZ_LOG"]).open("a") as log:
            log.write(json.dumps(vars(outcome)) + "\n")
    return outcome


def _judged(name: str, answer: dict[str, Any], page: Path | None) -> Outcome:
    """What an answer is; `page` is where one with tables and a page was asked for, and none with JSON."""
    code, out, err, seconds = answer["code"], answer["out"], answer["err"], answer["seconds"]
    errors = [line for line in err.splitlines() if line.startswith("error: ")]
    if not isinstance(code, int) or "Traceback" in err:
        return Outcome(name, "traceback", seconds, str(code)[-600:] + err[-600:])
    if answer["peak"] > _PEAK_BYTES:
        return Outcome(name, "too much memory", seconds, f"{answer['peak']:,} bytes")
    if code == 2:
        sound = len(errors) == 1 and err.endswith(errors[0] + "\n") and not out and len(errors[0]) < 600
        sound = sound and not (page and page.exists())
        return Outcome(name, "refused" if sound else "unclear", seconds, err[-600:])
    verdict = {0: "passed", 1: "failed"}.get(code, "neither")
    if page:
        plain = out.replace("\n", "").isprintable() and page.read_text().rstrip().endswith("</html>")
        sound = plain and out.endswith(f"verdict   {verdict}\n")
    else:
        sound = _document(out).get("verdict") == verdict
    return Outcome(name, verdict if sound and not errors else "unclear", seconds, out[-300:] + err[-300:])


def _document(out: str) -> dict[str, Any]:
    """The document that was printed; empty for what is no JSON, as NaN and Infinity are not."""

    def refuse(constant: str) -> None:
        raise ValueError(constant)

    try:
        return json.loads(out, parse_constant=refuse)
    except ValueError:
        return {}


def told(outcomes: list[Outcome]) -> str:
    """The sum of many outcomes in one line."""
    seconds = sum(outcome.seconds for outcome in outcomes)
    kinds = ", ".join(f"{kind} {count}" for kind, count in Counter(o.kind for o in outcomes).most_common())
    slowest = max(outcomes, key=lambda outcome: outcome.seconds)
    average = seconds / len(outcomes)
    return (
        f"{len(outcomes)} calls: {kinds}; {average:.2f} s on average, {slowest.seconds:.1f} s at most ({slowest.name})"
    )


@pytest.fixture
def emulations(tmp_path: Path) -> Emulations:
    """`emulations(calls)` gives an outcome for each call."""
    return Emulations(tmp_path / "temporary")


@pytest.fixture
def require_sound(emulations: Emulations):
    """Emulates, and holds what came out against what must be, whatever was put in."""

    def require(calls: Iterable[tuple[str, Path, str]]) -> list[Outcome]:
        outcomes = emulations(calls)
        print(told(outcomes))
        bad = [f"{outcome.name}: {outcome.kind}: {outcome.detail}" for outcome in outcomes if not outcome.sound]
        assert not bad, "\n\n".join([told(outcomes), *bad[:10]])
        assert emulations.left_behind() == []
        return outcomes

    return require
