"""A set of small integer networks built by hand: an encoder, a scene head, one recurrent layer, and classifiers."""

from __future__ import annotations

from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from keras_mtl.features import LogMelSettings
from keras_mtl.firmware_host.engines.set_runner import run_set
from keras_mtl.tflite.artifact import Artifact
from keras_mtl.tflite.artifact_set import ArtifactSet
from keras_mtl.tflite.wiring import Recurrent, Windows, Wiring

FRAMES, STRIDE, BANDS, CLIP = 8, 2, 4, 24
SIZE, UNITS, SCENES, EVENTS = STRIDE * BANDS, 3, ["airport", "bus", "metro"], ["Dog", "Speech"]
_IN, _WEIGHT, _OUT = (1 / 32, 3), 1 / 64, (1 / 128, 0)


class _Network:
    """Collects dense layers of int8 into one model."""

    def __init__(self, builder: Any, seed: int) -> None:
        self._made, self._random = builder(), np.random.default_rng(seed)
        self._inputs: list[int] = []

    def input(self, name: str, shape: tuple[int, ...], steps: tuple[float, int] = _IN) -> int:
        self._inputs.append(self.tensor(name, shape, steps))
        return self._inputs[-1]

    def tensor(self, name: str, shape: tuple[int, ...], steps: tuple[float, int]) -> int:
        return self._made.tensor(name, shape, "int8", None, *steps)

    def dense(
        self, name: str, given: int, sizes: tuple[int, int], steps: tuple[float, int], scale: float, largest: int = 90
    ) -> int:
        weights = self._random.integers(-largest, largest, sizes[::-1])
        constants = (
            self._made.tensor(f"{name}_weights", weights.shape, "int8", weights, _WEIGHT),
            self._made.tensor(
                f"{name}_bias", sizes[1:], "int32", self._random.integers(-9, 9, sizes[1]), _WEIGHT * scale
            ),
        )
        result = self.tensor(name, (1, sizes[1]), steps)
        options = schema.FullyConnectedOptionsT()
        self._made.op("FULLY_CONNECTED", 4, [given, *constants], [result], options)
        return result

    def op(self, name: str, version: int, given: list[int], result: int, options: Any = None) -> int:
        self._made.op(name, version, given, [result], options)
        return result

    def reshape(self, name: str, given: int, shape: tuple[int, ...]) -> int:
        wanted = self._made.tensor(f"{name}_shape", (len(shape),), "int32", shape)
        return self.op("RESHAPE", 1, [given, wanted], self.tensor(name, shape, _IN), schema.ReshapeOptionsT())

    def bytes(self, *outputs: int) -> bytes:
        self._made.ends[0] = (self._inputs, list(outputs))
        return self._made.bytes()


def _encoder(builder: Any) -> bytes:
    made = _Network(builder, 1)
    return made.bytes(
        made.reshape("embeddings", made.input("log_mel", (1, FRAMES, BANDS, 1)), (1, FRAMES // STRIDE, SIZE))
    )


def _scene_head(builder: Any) -> bytes:
    made, whole = _Network(builder, 2), FRAMES // STRIDE * SIZE
    flat = made.reshape("flat", made.input("embeddings", (1, FRAMES // STRIDE, SIZE)), (1, whole))
    return made.bytes(made.dense("scene_logits", flat, (whole, len(SCENES)), (1 / 8, 0), _IN[0]))


def cell(builder: Any, seed: int = 3) -> bytes:
    """One step of a recurrent layer: "input" and "state" to the next state."""
    made = _Network(builder, seed)
    given, state = made.input("input", (1, SIZE)), made.input("state", (1, UNITS), _OUT)
    parts = [
        made.dense("from_input", given, (SIZE, UNITS), (1 / 16, 0), _IN[0]),
        made.dense("from_state", state, (UNITS, UNITS), (1 / 16, 0), _OUT[0]),
    ]
    total = made.op("ADD", 2, parts, made.tensor("total", (1, UNITS), (1 / 16, 0)), schema.AddOptionsT())
    return made.bytes(made.op("TANH", 2, [total], made.tensor("next_state", (1, UNITS), _OUT)))


def _classifiers(builder: Any) -> bytes:
    made = _Network(builder, 5)
    states = made.input("states", (1, 2 * UNITS), _OUT)
    # Small ones: engines' 8-bit TANH differ by steps, which are not to be told apart by the events.
    logits, attention = (
        made.dense(name, states, (2 * UNITS, len(EVENTS)), (1 / 16, 0), _OUT[0], 5) for name in ("logits", "attention")
    )
    strong = made.op("LOGISTIC", 2, [logits], made.tensor("strong", (1, len(EVENTS)), (1 / 256, -128)))
    return made.bytes(strong, attention)


def small_set(builder: Any) -> ArtifactSet:
    """The set, with what LiteRT gives for its golden clips as reference."""
    wiring = Wiring(
        Windows(FRAMES, STRIDE, 0, FRAMES // STRIDE), CLIP, (Recurrent("forward", "backward"),), None,
        classifiers="classifiers", scene_head="scene_head",
    )  # fmt: skip
    features = LogMelSettings(mel_bands=BANDS, mean_db=-40.0, std_db=12.0)
    contents = {
        "encoder": _encoder(builder),
        "scene_head": _scene_head(builder),
        "forward": cell(builder, 3),
        "backward": cell(builder, 4),
        "classifiers": _classifiers(builder),
    }
    calls = wiring.calls_per_second(features.frame_rate)
    members = {
        name: Artifact.build(content, {"part": f"joint/{name}", "format": "int8", "audio_seconds": 1 / calls[name]})
        for name, content in contents.items()
    }
    facts = {
        "part": "joint",
        "format": "int8",
        "cells": "int8",
        "system": "mt",
        "features": features.to_dict(),
        "labels": {"events": EVENTS, "scenes": SCENES},
        "decoding": {"threshold": 0.5, "median_s": 0.06},
        "audio_seconds": features.seconds(CLIP),
    }
    random = np.random.default_rng(6)
    golden = {
        "seconds": random.integers(-128, 128, (3, FRAMES, BANDS, 1)).astype(np.int8),
        "clips": random.integers(-128, 128, (2, CLIP, BANDS, 1)).astype(np.int8),
    }
    made = ArtifactSet.build(members, wiring, facts, golden)
    heard = run_set("litert", made, golden["seconds"], golden["clips"])
    golden |= {"scenes": heard.scenes, "strong": heard.strong, "weak": heard.weak}
    return ArtifactSet(made.members, made.manifest, golden)
