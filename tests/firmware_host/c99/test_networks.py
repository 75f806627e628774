"""Whole networks in C: members of streaming artifacts, on inputs of the whole range, against the NumPy reference."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from c_programs import SANITIZED
from compiled import compiled
from small_artifacts import make_two_state

from keras_mtl.firmware_host.reference import ReferenceInterpreter
from keras_mtl.tflite import flatbuffer

SETS = Path(__file__).parents[2] / "golden" / "sets"


def test_members_give_what_the_reference_gives(builder, tmp_path: Path) -> None:
    if shutil.which("gcc") is None:
        pytest.skip("gcc is not there")
    kept = [path.read_bytes() for path in sorted(SETS.rglob("*.tflite"))]
    made = [make_two_state(builder, dtype, look_ahead) for dtype, look_ahead in (("int8", None), ("int16", 2))]
    contents = list(dict.fromkeys([*kept, *(each.content for one in made for each in one.members.values())]))
    assert len(contents) > 10
    models = [flatbuffer.read_model(content) for content in contents]
    networks, generator = compiled(models, SANITIZED, tmp_path), np.random.default_rng(5)
    calls, goals = [], []
    for number, content in enumerate(contents):
        reference = ReferenceInterpreter(content)
        for spread in (0.05, 0.3, 1.0):
            given = []
            for tensor in reference.inputs:
                limits = np.iinfo(tensor.dtype)
                values = np.rint(generator.normal(0, spread * limits.max, tensor.shape))
                given.append(values.clip(limits.min, limits.max).astype(tensor.dtype))
            calls.append((number, given))
            goals.append(reference.run(given))
    for (number, _), ours, theirs in zip(calls, networks.run(calls, tmp_path), goals, strict=True):
        for found, goal in zip(ours, theirs, strict=True):
            np.testing.assert_array_equal(found, goal, f"network {number}")
