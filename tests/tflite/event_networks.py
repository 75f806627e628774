"""A small network of both tasks for the tests of streaming artifacts, run folders of it, and how near engines come."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import keras
import numpy as np

from keras_mtl.core import LogMelSettings
from keras_mtl.decoding import DecodeSettings
from keras_mtl.firmware_host.engines import EngineRun, run
from keras_mtl.models import build_mt
from keras_mtl.recipes import Recipe, to_toml
from keras_mtl.runs import Run, Samples, save_samples
from keras_mtl.runs.folder import SCHEMA
from keras_mtl.tflite.artifact import Artifact
from keras_mtl.tflite.quantize import Quantized

SMALL = {"channels": (4, 6), "pools": ((2, 8), (2, 4)), "recurrent_units": 6, "attention_units": 3, "mel_bands": 64}
SMALL |= {"scenes": 10, "events": 10}
SECOND, CLIP = 100, 300
SETTINGS = LogMelSettings(mel_bands=64, mean_db=-30.0, std_db=15.0)


def small_network(seed: int = 3, **sizes) -> keras.Model:
    """A network with no weight or bias at the zero that it begins with, and recurrent states that saturate here and
    there."""
    keras.utils.set_random_seed(seed)
    network, generator = build_mt(**{**SMALL, **sizes}), np.random.default_rng(seed)
    for weight in network.weights:
        if len(weight.shape) == 1 or "bias" in weight.path:
            weight.assign(weight.numpy() + generator.uniform(0.05, 0.5, weight.shape))
        elif "gru" in weight.path:
            weight.assign(2.0 * weight.numpy())
    return network


def clips(count: int, frames: int, seed: int = 0) -> np.ndarray:
    """Log-mel that drifts in time and over the bands, normalised, float32 [count, frames, 64]."""
    generator = np.random.default_rng((seed, frames))
    drift = generator.normal(size=(count, frames, 1)).cumsum(1) * 0.1
    colour = generator.normal(size=(count, 1, 64)).cumsum(2) * 0.15
    return (drift + colour + generator.normal(size=(count, frames, 64)) * 0.4).astype(np.float32)


def run_of(
    folder: Path,
    network: keras.Model,
    quantized: Quantized | None = None,
    cells: str = "int16x8",
    tasks: Sequence[str] = ("scenes", "events"),
    decode: DecodeSettings | None = None,
    clip: int = CLIP,
) -> Run:
    """A run folder as training leaves it or, with a quantized network, as quantization of these tasks does.

    Its golden events, which say how long the events' ring is, are clips of so many frames.
    """
    network.save(folder / "network.keras")
    events = clips(3 if "events" in tasks else 0, clip, 2)
    save_samples(folder, Samples(clips(8, SECOND), clips(6, SECOND, 1), events))
    (folder / "recipe.toml").write_text(to_toml(Recipe(name="test", decode=decode or DecodeSettings())))
    info = {
        "schema": SCHEMA,
        "stage": "qat" if quantized else "float",
        "system": "mt",
        "tasks": list(tasks),
        "seed": 3,
        "features": SETTINGS.to_dict(),
        "data": {"name": "noise", "fingerprint": "0"},
        "git_revision": None,
        "metrics": {},
    }
    if quantized:
        quantized.model.save(folder / "qat.keras")
        info |= {"scheme": quantized.scheme, "engine": "native", "quantization": {}}
        info["quantization"] |= {"cells": cells} if "events" in tasks else {}
    (folder / "run.json").write_text(json.dumps(info))
    return Run.load(folder)


def computes_the_network(engine: str, artifact: Artifact, most: float = 0.01) -> EngineRun:
    """Holds what an engine computes of the golden recording against the network that was converted."""
    golden, wiring = artifact.golden.outputs, artifact.wiring
    found = run(engine, artifact, artifact.golden.inputs)
    embeddings = len(artifact.golden.inputs["recording"]) // wiring.stream.stride - wiring.stream.latency
    assert {*golden} == {*found.outputs} & {"scenes", "strong"}
    if wiring.scene_head:
        step = artifact.members[wiring.scene_head].outputs[0].scale
        assert np.abs(found.outputs["scenes"] - golden["scenes"]).max() <= 2.01 * step
        assert np.ptp(golden["scenes"], axis=0).max() > 10 * step
        assert found.outputs["calls"].tolist() == list(range(SECOND // 4, embeddings + 1, 5))
    if wiring.classifiers:
        assert np.abs(found.outputs["strong"] - golden["strong"]).max() < most
        assert np.ptp(golden["strong"]) > 0.2
        assert len(found.outputs["strong"]) == embeddings
    assert [*found.arena_bytes] == [*wiring.members]
    assert all((size or 0) > 500 if engine == "tflm" else size is None for size in found.arena_bytes.values())
    return found
