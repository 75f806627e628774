"""Inputs for a file that brings none."""

from __future__ import annotations

import math

import numpy as np

from keras_mtl.core import ArtifactError
from keras_mtl.tflite.artifact import Member

_RANDOM_INPUTS = 8
_SEED = 20
#: Of one input: 60 s of stereo at 48 kHz are 5.8 million.
_MOST_ELEMENTS = 1 << 23


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
