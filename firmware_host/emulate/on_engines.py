"""Runs an artifact on several engines, and lists what came of each: outputs, or why there are none."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np

from keras_mtl.core import ArtifactError, EngineError
from keras_mtl.firmware_host.emulate.parity import Parity
from keras_mtl.firmware_host.engines import ENGINES, EngineRun
from keras_mtl.firmware_host.report import EngineResult
from keras_mtl.firmware_host.targets import Target
from keras_mtl.tflite.artifact import Member

_RANDOM_INPUTS = 8
_SEED = 20
#: Of one input: 60 s of stereo at 48 kHz are 5.8 million.
_MOST_ELEMENTS = 1 << 23


def engines_for(target: Target, asked_for: Sequence[str]) -> tuple[str, ...]:
    """The engines to run, in their order: those asked for, and for a board `tflm`, which measures the arena."""
    return tuple(name for name in ENGINES if name in asked_for or (target.is_board and name == "tflm"))


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
        EngineResult(name, "", False, str(outcome))
        if isinstance(outcome, EngineError)
        else EngineResult(name, outcome.version, True, arena_bytes=outcome.arena_total_bytes)
        for name, outcome in outcomes.items()
    ]
    return {name: each for name, each in outcomes.items() if isinstance(each, EngineRun)}, results


def with_difference(result: EngineResult, parity: Parity | None) -> EngineResult:
    """An engine's row with its difference from the base of a comparison; as it was where there is no such number."""
    difference = parity.from_base_lsb[result.engine] if parity and result.ran else math.inf
    return replace(result, from_base_lsb=round(difference, 3)) if math.isfinite(difference) else result


def random_inputs(member: Member) -> dict[str, np.ndarray]:
    """Seeded random inputs for a file without golden data: `input_0`, ... [8, ...] over the whole range of its type.

    Raises:
        ArtifactError: an input without a fixed shape, or of a type that can't be made.
    """
    if not member.inputs:
        raise ArtifactError("the TFLite file has no input tensor")
    generator = np.random.default_rng(_SEED)
    return {f"input_{i}": _random(generator, port.shape, port.dtype) for i, port in enumerate(member.inputs)}


def _random(generator: np.random.Generator, shape: tuple[int, ...], name: str) -> np.ndarray:
    if min(shape, default=1) < 1:
        raise ArtifactError(f"the input has no fixed shape: {list(shape)}", hint="convert with a fixed batch of 1")
    inner = shape[1:] if shape[:1] == (1,) else shape
    if math.prod(inner) > _MOST_ELEMENTS:
        raise ArtifactError(f"the input is too large to be tried: {list(shape)}", hint="give the file golden data")
    if name in ("float16", "float32", "float64"):
        return generator.standard_normal((_RANDOM_INPUTS, *inner)).astype(name)
    if name not in ("int8", "uint8", "int16", "int32"):
        raise ArtifactError(f"no test inputs can be made of type {name}")
    limits = np.iinfo(name)
    return generator.integers(limits.min, limits.max, (_RANDOM_INPUTS, *inner), endpoint=True).astype(name)
