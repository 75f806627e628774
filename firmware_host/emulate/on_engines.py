"""Runs an artifact on several engines, and lists what came of each: outputs, or why there are none."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from keras_mtl.core import EngineError, EngineMissing
from keras_mtl.firmware_host.emulate.parity import Parity
from keras_mtl.firmware_host.engines import ENGINES, EngineRun
from keras_mtl.firmware_host.report import EngineResult
from keras_mtl.firmware_host.targets import Target


def engines_for(target: Target, asked_for: Sequence[str]) -> tuple[str, ...]:
    """The engines to run, in their order: those asked for, and for a board `tflm`, which measures the arena."""
    first = tuple(name for name in ENGINES if name in asked_for or (target.is_board and name == "tflm"))
    return (*first, *dict.fromkeys(name for name in asked_for if name not in ENGINES))


def run_on_each(
    names: Sequence[str], run_one: Callable[[str], EngineRun]
) -> tuple[dict[str, EngineRun], list[EngineResult]]:
    """Runs several engines at a time, as many as there are cores.

    `run_one`: runs the one of that name, and raises EngineError where it refuses, crashes or hangs.

    Returns:
        The runs, by engine, of those that ran; and a row of the report for each engine.
    """

    def attempt(name: str) -> EngineRun | EngineError:
        try:
            return run_one(name)
        except EngineError as error:
            return error

    # Threads only wait here: each engine is a process of its own.
    with ThreadPoolExecutor(max_workers=min(len(names), os.cpu_count() or 1) or 1) as pool:
        outcomes = dict(zip(names, pool.map(attempt, names), strict=True))
    results = [
        EngineResult(name, "", False, str(outcome), missing=isinstance(outcome, EngineMissing))
        if isinstance(outcome, EngineError)
        else EngineResult(name, outcome.version, True, arena_bytes=outcome.arena_total_bytes)
        for name, outcome in outcomes.items()
    ]
    return {name: each for name, each in outcomes.items() if isinstance(each, EngineRun)}, results


def with_difference(result: EngineResult, parity: Parity | None) -> EngineResult:
    """An engine's row with its difference from the base of a comparison; as it was where there is no such number."""
    difference = parity.from_base_lsb[result.engine] if parity and result.ran else math.inf
    return replace(result, from_base_lsb=round(difference, 3)) if math.isfinite(difference) else result
