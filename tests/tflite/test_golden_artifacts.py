"""Networks of fixed weights are converted to the same files as ever, to the byte."""

from __future__ import annotations

import functools
import json
import sys
from pathlib import Path

import numpy as np
import pytest

from keras_mtl.firmware_host.engines import run
from keras_mtl.tflite.artifact import Artifact

sys.path.insert(0, str(Path(__file__).parents[1] / "golden"))
from golden_artifacts import ARTIFACTS, FOLDER, digests, golden_arrays, make

#: What the network gives is computed by the processor, whose last digit may move a value to the next level.
LEVEL, PROBABILITY = 1, 1 / 256


#: One of each kind of network is enough for every run; a conversion takes ten seconds.
QUICK = ("scenes.float32", "scenes.int8", "stream.int16x8")
NAMES = [pytest.param(name, marks=[] if name in QUICK else [pytest.mark.slow]) for name in ARTIFACTS]


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    out = tmp_path_factory.mktemp("golden")
    return functools.cache(lambda name: make(name, FOLDER, out))


@pytest.fixture(scope="module")
def kept():
    with np.load(FOLDER / "artifacts.npz") as arrays:
        return dict(arrays)


@pytest.mark.parametrize("name", NAMES)
def test_files_and_inputs_are_those_that_were_kept(made, name):
    inputs, _ = golden_arrays(made(name))
    assert digests(made(name)) | inputs == json.loads((FOLDER / "artifacts.json").read_text())[name]


@pytest.mark.parametrize("name", [each for each in NAMES if "int" in each.values[0]])
def test_the_numpy_reference_gives_what_tflm_gives(made, name):
    """On all golden data, through all members and states: no integer differs."""
    folder = made(name)
    artifact = Artifact.load(folder if (folder / "artifact.json").exists() else next(folder.glob("*.tflite")))
    found, theirs = (run(engine, artifact, artifact.golden.inputs).outputs for engine in ("numpy", "tflm"))
    assert found.keys() == theirs.keys()
    for key, values in theirs.items():
        np.testing.assert_array_equal(found[key], values)


@pytest.mark.parametrize("name", NAMES)
def test_outputs_are_those_that_were_kept(made, kept, name):
    _, outputs = golden_arrays(made(name))
    goal = {key.removeprefix(f"{name}/"): values for key, values in kept.items() if key.startswith(f"{name}/")}
    assert outputs.keys() == goal.keys()
    for key, values in goal.items():
        assert len(np.unique(values)) > 20
        assert outputs[key].dtype == values.dtype
        most = LEVEL if values.dtype.kind == "i" else PROBABILITY
        np.testing.assert_allclose(outputs[key].astype(float), values, rtol=0, atol=most)
