"""Commands of `keras_mtl` whose results a benchmark keeps, so that it goes on where it was interrupted."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any


def kept_result(path: Path, words: list[str], accepted: tuple[int, ...] = (0,)) -> dict[str, Any]:
    """The JSON result of a command, kept in a file: a command whose result is there is not run again.

    Args:
        path: of the file.
        words: what follows on `keras_mtl`, without --json.
        accepted: exit statuses after which there is a result.

    Raises:
        SystemExit: the command ended otherwise.
    """
    if not path.exists():
        print(f"$ keras_mtl {shlex.join(words)}", file=sys.stderr, flush=True)
        command = [sys.executable, "-m", "keras_mtl", *words, "--json"]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
        if done.returncode not in accepted:
            raise SystemExit(f"keras_mtl {words[0]} ended with {done.returncode}; the same command goes on here")
        path.write_text(done.stdout)
    return json.loads(path.read_text())


def kept_score(path: Path, words: list[str]) -> dict[str, Any]:
    """The same of `keras_mtl evaluate`, without the path that was scored, which means nothing elsewhere."""
    score = kept_result(path, words)
    return {key: value for key, value in score.items() if key != "model"}


def score_cells(score: dict[str, Any], goal: dict[str, Any] | None, figures: tuple[str, ...]) -> list[str]:
    """Cells of a Markdown table: figures of an evaluation, and in brackets what they are off the goal's.

    Args:
        score: the result of `keras_mtl evaluate`.
        goal: that of the network to compare with; None for the network itself.
        figures: keys of `scenes` or `events`. PSDS are shown as they are, all others in points (hundredths).
    """
    return [_cell(_value(score, name), _value(goal or {}, name), name) for name in figures]


def _value(score: dict[str, Any], name: str) -> float | None:
    return {**score.get("scenes", {}), **score.get("events", {})}.get(name)


def _cell(value: float | None, goal: float | None, name: str) -> str:
    if value is None:
        return ""
    unit, digits = (1, 3) if name.startswith("psds") else (100, 2)
    return f"{value * unit:.{digits}f}" + ("" if goal is None else f" ({(value - goal) * unit:+.{digits}f})")
