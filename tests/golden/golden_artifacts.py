"""What `convert` makes of the golden networks, and how two of them are held against each other."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np

from keras_mtl.runs import Run
from keras_mtl.tflite import flatbuffer
from keras_mtl.tflite.artifact import METADATA_NAME
from keras_mtl.tflite.convert import convert

FOLDER = Path(__file__).parent / "networks"
#: Artifacts: the run folder, the part, and the format. In integers events and joint are streaming artifacts.
ARTIFACTS = {
    "scenes.float32": ("float", "scenes", "float32"),
    "scenes.float16": ("float", "scenes", "float16"),
    "scenes.int8": ("scenes-int8", "scenes", "int8"),
    "scenes.int16x8": ("scenes-int16x8", "scenes", "int16x8"),
    "events.float32": ("float", "events", "float32"),
    "stream.int8": ("joint-int8", "joint", "int8"),
    "stream.int16x8": ("joint-int16x8", "joint", "int16x8"),
    "stream-causal.int8": ("causal-int8", "events", "int8"),
}


def make(name: str, runs: Path, out: Path) -> Path:
    """Converts one, and saves it in a folder of its own, which is returned."""
    run, part, kind = ARTIFACTS[name]
    made = convert(Run.load(runs / run), part, kind)
    return made.save(out / name) if made.streams else made.save(out / name / f"{name}.tflite").parent


def digests(folder: Path) -> dict[str, str]:
    """The sha256 of each `.tflite` file without what is embedded: a manifest whose keys may be renamed."""
    found = {}
    for path in sorted(folder.glob("*.tflite")):
        model = flatbuffer.read_model(path.read_bytes())
        flatbuffer.set_metadata(model, METADATA_NAME, b"")
        found[path.name] = hashlib.sha256(flatbuffer.write_model(model)).hexdigest()
    return found


def golden_arrays(folder: Path) -> tuple[dict[str, str], dict[str, np.ndarray]]:
    """Of its golden data the sha256 of each input, and what the network that was converted gives for them."""
    (path,) = folder.glob("*golden.npz")
    inputs, outputs = {}, {}
    with np.load(path) as arrays:
        for name in arrays:
            if name in ("input_0", "recording"):
                inputs[f"golden {name}"] = hashlib.sha256(arrays[name].tobytes()).hexdigest()
            elif name != "sha256":
                outputs[name] = arrays[name]
    return inputs, outputs
