"""Whole networks in C: members of streaming artifacts, on inputs of the whole range, against the NumPy reference."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from c_programs import SANITIZED
from compiled import compiled
from small_artifacts import make_two_state

from keras_mtl.core import EngineRefused
from keras_mtl.firmware_host.c99 import c_networks
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


def test_sizes_beyond_16_bits_are_refused(builder) -> None:
    made = builder()
    source, out = made.tensor("in", (1, 70_000), "int8", None, 0.1), made.tensor("out", (1, 1), "int8", None, 1.0)
    weights = made.tensor("weights", (1, 70_000), "int8", np.ones((1, 70_000)), 0.01)
    made.op("FULLY_CONNECTED", 4, [source, weights, -1], [out], schema.FullyConnectedOptionsT())
    made.ends[0] = ([source], [out])
    with pytest.raises(EngineRefused, match=r"FULLY_CONNECTED \(layer out\): a size of 70,000, where"):
        c_networks("net", {"large": flatbuffer.read_model(made.bytes())})
