"""Makes the golden networks: run folders of small networks whose weights and ranges come from formulas, not trainings.

    python tests/golden/make_networks.py [FOLDER]

A training differs from processor to processor, and what it leaves with it. These weights are drawn once and kept; what
`convert` makes of them is held by the hashes in `artifacts.json` and the arrays in `artifacts.npz`, which

    python tests/golden/make_networks.py --artifacts [FOLDER]

writes with the source as it is. They are made anew only where the converter's version or a format changes on purpose.
"""

from __future__ import annotations

import json
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import Any

import keras
import numpy as np

from keras_mtl.core import LogMelSettings
from keras_mtl.models import build_mt
from keras_mtl.recipes import Recipe, to_toml
from keras_mtl.runs import Samples, save_samples
from keras_mtl.runs.folder import SCHEMA
from keras_mtl.tflite.qat import FakeQuant, build_qat
from keras_mtl.tflite.qat.scene_model import join_interface

sys.path.insert(0, str(Path(__file__).parent))
from golden_artifacts import ARTIFACTS, FOLDER, digests, golden_arrays, make

BANDS, SECOND, CLIP = 32, 100, 200
SIZES: dict[str, Any] = {
    "mel_bands": BANDS,
    "channels": (4, 6),
    "pools": ((2, 4), (2, 4)),
    "recurrent_units": 6,
    "attention_units": 3,
    "scenes": 10,
    "events": 10,
}
CAUSAL = {"bidirectional": False, "look_ahead": 2}
FLAT = {"recurrent_layers": 1}
#: Run folders: decoders' tasks, scheme and cells; without a scheme it is the float one.
RUNS: dict[str, tuple[tuple[str, ...], str | None, str | None]] = {
    "float": (("scenes", "events"), None, None),
    "scenes-int8": (("scenes",), "int8", None),
    "scenes-int16x8": (("scenes",), "int16x8", None),
    "joint-int8": (("scenes", "events"), "int8", "int16x8"),
    "joint-int16x8": (("scenes", "events"), "int16x8", "int16x8"),
    "causal-int8": (("events",), "int8", "int8"),
}


def network(**sizes: Any) -> keras.Model:
    """A network of which each weight is drawn evenly from limits that keep the activations around 1."""
    made, random = build_mt(**SIZES, **sizes), np.random.default_rng(20)
    for weight in made.weights:
        kind, shape = weight.path.rsplit("/", 1)[1], tuple(weight.shape)
        if len(shape) > 1 and "bias" not in kind:
            limit = (6.0 / np.prod(shape[:-1])) ** 0.5
            low, high = -limit, limit
        else:
            low, high = {"gamma": (0.5, 1.5), "moving_variance": (0.4, 1.4)}.get(kind, (-0.4, 0.4))
        weight.assign(random.uniform(low, high, shape).astype(np.float32))
    return made


def set_ranges(twin: keras.Model) -> None:
    """Gives every range that calibration would set a place of its own, none of them a power of two."""
    ranges = [layer for layer in twin._flatten_layers() if isinstance(layer, FakeQuant) and not layer.fixed]
    for i, layer in enumerate(ranges):
        layer.set_range(-2.03 - 0.23 * (i % 5), 2.51 + 0.31 * (i % 7))
    if "encoder" in {layer.name for layer in twin.layers}:
        join_interface(twin)


def log_mel(count: int, frames: int, seed: int) -> np.ndarray:
    """Normalised log-mel on steps of 1/8, which pack well: float32 [count, frames, 32]."""
    random = np.random.default_rng((seed, frames))
    slow = random.integers(-8, 9, (count, frames // 20, BANDS // 8)).repeat(20, 1).repeat(8, 2)
    return ((slow + random.integers(-2, 3, (count, frames, BANDS))) / 8).astype(np.float32)


def save(model: keras.Model, path: Path) -> None:
    """Writes a Keras file, packed: most of one of so few weights is empty."""
    model.save(path)
    with zipfile.ZipFile(path) as archive:
        contents = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in contents.items():
            archive.writestr(zipfile.ZipInfo(name), content, zipfile.ZIP_DEFLATED)


def save_run(folder: Path, name: str) -> None:
    """Writes one of the run folders, as `train` and `quantize` leave them but for what `convert` does not read."""
    tasks, scheme, cells = RUNS[name]
    folder.mkdir(parents=True, exist_ok=True)
    found = network(**{"causal-int8": CAUSAL, "joint-int16x8": FLAT}.get(name, {}))
    info = {
        "schema": SCHEMA,
        "stage": "qat" if scheme else "float",
        "system": "mt",
        "tasks": list(tasks),
        "seed": 20,
        "features": LogMelSettings(mel_bands=BANDS, mean_db=-30.0, std_db=15.0).to_dict(),
        "data": {"name": "formula", "fingerprint": "0"},
        "git_revision": None,
        "metrics": {},
    }
    if not scheme:
        save(found, folder / "network.keras")
    else:
        twin = build_qat(found, scheme, tasks, cells, frames=SECOND)
        set_ranges(twin)
        save(twin, folder / "qat.keras")
        info |= {"scheme": scheme, "engine": "native", "quantization": {"cells": cells} if cells else {}}
    events = log_mel(3 if "events" in tasks else 0, CLIP, 2)
    save_samples(folder, Samples(log_mel(3, SECOND, 0), log_mel(6, SECOND, 1), events))
    (folder / "recipe.toml").write_text(to_toml(Recipe(name="golden")))
    (folder / "run.json").write_text(json.dumps(info, indent=1) + "\n")


def keep_artifacts(folder: Path) -> None:
    """Writes what the source as it is makes of the run folders."""
    hashes, arrays = {}, {}
    with tempfile.TemporaryDirectory() as temporary:
        for name in ARTIFACTS:
            made = make(name, folder, Path(temporary))
            inputs, outputs = golden_arrays(made)
            hashes[name] = digests(made) | inputs
            arrays |= {f"{name}/{key}": values for key, values in outputs.items()}
    (folder / "artifacts.json").write_text(json.dumps(hashes, indent=1) + "\n")
    np.savez_compressed(folder / "artifacts.npz", **arrays)


if __name__ == "__main__":
    given = [argument for argument in sys.argv[1:] if argument != "--artifacts"]
    goal = Path(given[0]) if given else FOLDER
    if "--artifacts" in sys.argv:
        keep_artifacts(goal)
    else:
        for run in RUNS:
            save_run(goal / run, run)
