"""Artifacts on recordings of many minutes: memory stays flat, here and in the engine's processes."""

from __future__ import annotations

import json
from pathlib import Path

import keras
import numpy as np
import pytest

from keras_mtl.core import LogMelSettings
from keras_mtl.models import build_mt
from keras_mtl.recipes import Recipe, to_toml
from keras_mtl.runs import Run, Samples, save_samples
from keras_mtl.runs.folder import SCHEMA
from keras_mtl.tflite.convert import convert

SETTINGS = LogMelSettings(mel_bands=64, mean_db=-30.0, std_db=15.0)
SMALL = {"channels": (4, 6), "pools": ((2, 8), (2, 4)), "recurrent_units": 5, "attention_units": 3, "mel_bands": 64}
SMALL |= {"scenes": 10, "events": 10}
# Hears recordings of so many minutes, tiled from one of a minute, and prints the most memory used after each by this
# process and by any of the engine's, in MB, and what was heard. The threshold lies amid what the first one gives. An
# engine's process counts with at least what this one has as it starts it.
_HEAR = """
import json, resource, sys
from dataclasses import replace
from pathlib import Path
import numpy as np, soundfile
from keras_mtl.predictors import open_predictor
from keras_mtl.inference import predict
from keras_mtl.decoding import DecodeSettings

def most_here():
    # Not ru_maxrss: that of a new process begins with what the one had that started it.
    (line,) = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM")]
    return int(line.split()[1]) / 1024

listener, told = open_predictor(Path(sys.argv[1])), []
minute = np.concatenate([np.random.default_rng(k).normal(0, (0.1, 0.001)[k % 2], 160_000) for k in range(6)])
for minutes in (5, 5, 20):
    with soundfile.SoundFile("a.wav", "w", 16_000, 1) as file:
        for _ in range(minutes):
            file.write(minute)
    heard = predict(listener, "a.wav")
    if not told and heard.probabilities is not None:
        some = heard.probabilities[:, heard.probabilities.std(axis=0).argmax()]
        middle = float(some.min() + some.max()) / 2
        listener = replace(listener, decoding=DecodeSettings(threshold=middle))
    here, engine = most_here(), resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    told.append({"here": here, "engine": engine, **heard.to_dict()})
print(json.dumps(told))
"""


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Run:
    """A small network of both tasks with weights from a seed."""
    keras.utils.set_random_seed(3)
    folder, generator = tmp_path_factory.mktemp("run"), np.random.default_rng(3)
    build_mt(**SMALL).save(folder / "network.keras")
    scenes, events = (generator.normal(0, 1, (4, n, 64)).astype(np.float32) for n in (100, 1000))
    save_samples(folder, Samples(scenes, scenes, events))
    (folder / "recipe.toml").write_text(to_toml(Recipe(name="test")))
    info = {"schema": SCHEMA, "stage": "float", "system": "mt", "tasks": ["events", "scenes"], "seed": 3}
    info |= {"features": SETTINGS.to_dict(), "data": {"name": "noise"}, "git_revision": None, "metrics": {}}
    (folder / "run.json").write_text(json.dumps(info))
    return Run.load(folder)


@pytest.mark.slow
@pytest.mark.parametrize("part", ["scenes", "events"])
def test_memory_does_not_grow_with_the_recording(run, run_python, tmp_path: Path, part: str) -> None:
    path = convert(run, part, "float32").save(tmp_path / f"{part}.tflite")
    _, short, long = run_python(_HEAR, str(path))
    assert (short["duration_s"], long["duration_s"]) == (300, 1200)
    # 15 minutes more are 58 MB of samples, and 23 MB of levels.
    assert long["here"] - short["here"] < 15
    assert long["engine"] - short["engine"] < 15
    assert short[part]
    if part == "events":
        settled = [[e for e in heard["events"] if e["offset_s"] < 240] for heard in (short, long)]
        assert len(long["events"]) >= 60 > len(settled[0]) >= 12
        assert settled[0] == settled[1]  # what comes minutes later changes nothing
    else:
        assert long["scenes"][-1]["offset_s"] == 1200
        assert long["scene"] == short["scene"]
