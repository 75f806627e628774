"""A network with uneven weights and statistics, quantized and converted once for all tests of this folder."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_mtl.core import LogMelSettings
from keras_mtl.models import build_mt
from keras_mtl.recipes import Recipe, to_toml
from keras_mtl.runs import Run, Samples, save_samples
from keras_mtl.runs.folder import SCHEMA
from keras_mtl.tflite.artifact import Artifact
from keras_mtl.tflite.convert import convert
from keras_mtl.tflite.qat import FORMATS, SCHEMES
from keras_mtl.tflite.quantize import Quantized, quantize_network

GOLDEN_CLIPS = 24
sys.path.insert(0, str(Path(__file__).parent))  # for `scene_networks`: pytest imports tests without their folder


@dataclass(frozen=True)
class Clips:
    calibration: np.ndarray
    golden: np.ndarray
    scenes: np.ndarray


@pytest.fixture(scope="session")
def network() -> keras.Model:
    keras.utils.set_random_seed(3)
    network = build_mt(scenes=10, events=10)
    generator = np.random.default_rng(3)
    for layer in network.get_layer("encoder").layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            width = layer.gamma.shape[0]
            layer.set_weights(
                [
                    generator.uniform(0.5, 1.8, width),
                    generator.normal(0, 0.4, width),
                    generator.normal(0, 0.3, width),
                    generator.uniform(0.2, 1.5, width),
                ]
            )
    for layer in network.get_layer("scene_head").layers:
        if isinstance(layer, keras.layers.Dense):
            kernel, bias = layer.get_weights()
            layer.set_weights([kernel, generator.normal(0, 0.3, bias.shape)])
    return network


@pytest.fixture(scope="session")
def clips() -> Clips:
    generator = np.random.default_rng(1)
    count = 32 + GOLDEN_CLIPS
    drift = generator.normal(size=(count, 100, 1)).cumsum(1) * 0.1
    colour = generator.normal(size=(count, 1, 128)).cumsum(2) * 0.15
    values = (drift + colour + generator.normal(size=(count, 100, 128)) * 0.4).astype(np.float32)
    return Clips(values[:32], values[32:], generator.integers(0, 10, 32).astype(np.int32))


@pytest.fixture(scope="session")
def quantized(network: keras.Model, clips: Clips) -> dict[str, Quantized]:
    """int8 after two steps of fine-tuning, int16x8 as calibrated."""
    batch = tf.data.Dataset.from_tensors({"scenes": clips.calibration[..., None]})
    tuned = quantize_network(
        network, "int8", {"scenes": clips.calibration}, batch.repeat(2), epochs=1, steps_per_epoch=2, seed=5
    )
    return {"int8": tuned, "int16x8": quantize_network(network, "int16x8", {"scenes": clips.calibration})}


@pytest.fixture(scope="session")
def runs(
    network: keras.Model, quantized: dict[str, Quantized], clips: Clips, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Run]:
    """Run folders "float", "int8" and "int16x8", as training and quantization leave them."""
    found = {}
    for name in ("float", *SCHEMES):
        folder = tmp_path_factory.mktemp(f"run_{name}")
        info = {
            "schema": SCHEMA,
            "stage": "float" if name == "float" else "qat",
            "scheme": None if name == "float" else name,
            "system": "mt",
            "tasks": ["scenes", "events"],
            "seed": 3,
            "features": LogMelSettings(mean_db=-30.0, std_db=15.0).to_dict(),
            "data": {"name": "noise", "fingerprint": "0"},
            "git_revision": None,
            "metrics": {},
        }
        network.save(folder / "network.keras")
        if name in quantized:
            quantized[name].model.save(folder / "qat.keras")
        save_samples(folder, Samples(clips.calibration, clips.golden))
        (folder / "recipe.toml").write_text(to_toml(Recipe(name="test")))
        (folder / "run.json").write_text(json.dumps(info))
        found[name] = Run.load(folder)
    return found


@pytest.fixture(scope="session")
def artifacts(runs: dict[str, Run]) -> dict[str, Artifact]:
    """The scene part in each of the four formats."""
    with ThreadPoolExecutor(2) as pool:
        made = pool.map(lambda kind: convert(runs.get(kind, runs["float"]), "scenes", kind), FORMATS)
        return dict(zip(FORMATS, made, strict=True))


@pytest.fixture
def saved(artifacts: dict[str, Artifact], tmp_path: Path) -> Callable[[str], Path]:
    """Saves an artifact in the test's folder and gives its path."""
    return lambda kind: artifacts[kind].save(tmp_path / f"scenes.{kind}.tflite")
