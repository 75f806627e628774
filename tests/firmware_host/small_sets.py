"""Sets of small networks built by hand, as `convert_set` makes them of a trained one: for bundles of sets."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from keras_mtl.features import LogMelSettings
from keras_mtl.firmware_host.engines.set_runner import run_set
from keras_mtl.tflite.artifact import Artifact
from keras_mtl.tflite.artifact_set import ArtifactSet
from keras_mtl.tflite.wiring import Recurrent, Windows, Wiring

WINDOW, BANDS, STRIDE, CLIP = 8, 6, 2, 24
SIZE, UNITS, EVENTS, SCENES = 4, 3, 2, 3
FEATURES = LogMelSettings(mel_bands=BANDS, mean_db=-40.0, std_db=12.0)
WEIGHT = 2.0**-6
_SUMS, _STATE = 2.0**-12, 2.0**-15
SEED = 5


@dataclass
class Maker:
    """Makes the members of one set.

    Attributes:
        builder: the class that packs a model.
        generator: of the weights.
    """

    builder: Any
    generator: np.random.Generator

    def dense(
        self, made: Any, source: int, step: float, zero: int, size: tuple[int, int], out: int, dtype: str
    ) -> None:
        """A dense layer from a tensor with this step and zero point to the tensor `out`."""
        weights = self.generator.integers(-100, 100, (size[1], size[0]))
        kind = "int64" if dtype == "int16" else "int32"
        bias = self.generator.integers(-200, 200, size[1])
        constants = [
            made.tensor("weights", weights.shape, "int8", weights, WEIGHT),
            made.tensor("bias", bias.shape, kind, bias, step * WEIGHT),
        ]
        made.op("FULLY_CONNECTED", 4, [source, *constants], [out], schema.FullyConnectedOptionsT())

    def encoder(self, dtype: str) -> bytes:
        """[1, 8, 6, 1] to embeddings [1, 4, 4]; an embedding sees its two frames and no more."""
        made, (step, zero) = self.builder(), embedding_levels(dtype)
        source = made.tensor("log_mel", (1, WINDOW, BANDS, 1), dtype, None, *input_levels(dtype))
        maps = made.tensor("maps", (1, WINDOW // STRIDE, 1, SIZE), dtype, None, step, zero)
        out = made.tensor("embeddings", (1, WINDOW // STRIDE, SIZE), dtype, None, step, zero)
        kernel = self.generator.integers(-100, 100, (SIZE, STRIDE, BANDS, 1))
        bias = self.generator.integers(-200, 200, SIZE)
        steps = np.full(SIZE, WEIGHT / 4)
        weights = made.tensor("kernel", kernel.shape, "int8", kernel, steps)
        offsets = made.tensor(
            "bias", bias.shape, "int64" if dtype == "int16" else "int32", bias, steps * input_levels(dtype)[0]
        )
        options = schema.Conv2DOptionsT()
        options.padding, options.strideH, options.strideW = schema.Padding.VALID, STRIDE, BANDS
        options.dilationHFactor = options.dilationWFactor = 1
        made.op("CONV_2D", 3, [source, weights, offsets], [maps], options)
        shape = made.tensor("shape", (3,), "int32", [1, WINDOW // STRIDE, SIZE])
        made.op("RESHAPE", 1, [maps, shape], [out], schema.ReshapeOptionsT())
        made.ends[0] = ([source], [out])
        return made.bytes()

    def scene_head(self, dtype: str) -> bytes:
        """Embeddings of a window to logits [1, 3]."""
        made, (step, zero) = self.builder(), embedding_levels(dtype)
        source = made.tensor("embeddings", (1, WINDOW // STRIDE, SIZE), dtype, None, step, zero)
        out = made.tensor("scene_logits", (1, SCENES), dtype, None, step * 4, 0)
        self.dense(made, source, step, zero, (WINDOW // STRIDE * SIZE, SCENES), out, dtype)
        made.ends[0] = ([source], [out])
        return made.bytes()

    def cell(self, inputs: int, step: float) -> bytes:
        """tanh(W input + V state), int16."""
        made = self.builder()
        source = made.tensor("input", (1, inputs), "int16", None, step)
        state = made.tensor("state", (1, UNITS), "int16", None, _STATE)
        heard, kept, both = (made.tensor(name, (1, UNITS), "int16", None, _SUMS) for name in ("heard", "kept", "both"))
        out = made.tensor("next_state", (1, UNITS), "int16", None, _STATE)
        self.dense(made, source, step, 0, (inputs, UNITS), heard, "int16")
        self.dense(made, state, _STATE, 0, (UNITS, UNITS), kept, "int16")
        made.op("ADD", 1, [heard, kept], [both], schema.AddOptionsT())
        made.op("TANH", 3, [both], [out])
        made.ends[0] = ([source, state], [out])
        return made.bytes()

    def classifiers(self, width: int) -> bytes:
        """States of the last layer to probabilities and attention logits [1, 2]."""
        made = self.builder()
        source = made.tensor("states", (1, width), "int16", None, _STATE)
        logits, attention = (made.tensor(name, (1, EVENTS), "int16", None, _SUMS) for name in ("logits", "attention"))
        strong = made.tensor("strong", (1, EVENTS), "int16", None, _STATE)
        self.dense(made, source, _STATE, 0, (width, EVENTS), logits, "int16")
        made.op("LOGISTIC", 1, [logits], [strong])
        self.dense(made, source, _STATE, 0, (width, EVENTS), attention, "int16")
        made.ends[0] = ([source], [strong, attention])
        return made.bytes()


def make_set(
    builder: Any, part: str, dtype: str, layers: int, kind: type[Maker] | None = None, look_ahead: int | None = None
) -> ArtifactSet:
    """A set whose reference results are those of TensorFlow Lite Micro.

    Args:
        builder: the class that packs a model.
        part: "joint" or "events".
        dtype: of the encoder and the scene decoder, "int8" or "int16"; the cells have 16 bits.
        layers: recurrent layers.
        kind: makes the members, where not `Maker`.
        look_ahead: of a causal event decoder; None for a bidirectional one.
    """
    maker = (kind or Maker)(builder, np.random.default_rng(SEED))
    shift = 7 if dtype == "int8" else None
    step = embedding_levels(dtype)[0] / (128 if shift else 1)
    backward = [f"gru_{n}_backward" if look_ahead is None else None for n in range(1, layers + 1)]
    recurrent = tuple(Recurrent(f"gru_{n}_forward", name) for n, name in enumerate(backward, start=1))
    width = UNITS * (2 if look_ahead is None else 1)
    scene_head = "scene_head" if part == "joint" else ""
    wiring = Wiring(
        *(Windows(WINDOW, STRIDE, 1, 3), CLIP, recurrent, shift),
        classifiers="classifiers",
        scene_head=scene_head,
        look_ahead=look_ahead or 0,
    )
    contents = {"encoder": maker.encoder(dtype), "classifiers": maker.classifiers(width)}
    contents |= {"scene_head": maker.scene_head(dtype)} if scene_head else {}
    for number, layer in enumerate(recurrent):
        for name in layer.cells:
            contents[name] = maker.cell(width if number else SIZE, _STATE if number else step)
    fmt = "int8" if dtype == "int8" else "int16x8"
    calls = wiring.calls_per_second(FEATURES.frame_rate)
    members = {
        name: Artifact.build(
            contents[name],
            {
                "part": f"{part}/{name}",
                "format": fmt if name in ("encoder", "scene_head") else "int16x8",
                "system": "small",
                "audio_seconds": 1 / calls[name],
            },
        )
        for name in wiring.members
    }
    facts = {
        "part": part,
        "format": fmt,
        "cells": "int16x8",
        "system": "small",
        "features": FEATURES.to_dict(),
        "labels": {"events": ["bark", "bell"]} | ({"scenes": ["bus", "park", "tram"]} if scene_head else {}),
        "decoding": {"threshold": 0.5, "median_s": 0.06},
        "seed": 0,
        "data": {"name": "noise", "fingerprint": "0" * 64},
        "recipe": {"name": "small", "sha256": "1" * 64},
        "metrics": {"events": {"psds1": 0.25}},
        "audio_seconds": FEATURES.seconds(CLIP),
    }
    return _with_golden(ArtifactSet.build(members, wiring, facts, {}), dtype)


def _with_golden(artifacts: ArtifactSet, dtype: str) -> ArtifactSet:
    generator, limits = np.random.default_rng(SEED), np.iinfo(dtype)
    clips = generator.integers(limits.min, limits.max, (2, CLIP, BANDS, 1), endpoint=True).astype(dtype)
    seconds = clips[:, :WINDOW] if artifacts.wiring.scene_head else None
    run = run_set("tflm", artifacts, seconds, clips)
    golden = {"clips": clips, "strong": run.strong, "weak": run.weak}
    golden |= {"seconds": seconds, "scenes": run.scenes} if seconds is not None else {}
    return ArtifactSet(artifacts.members, artifacts.manifest, golden)


def input_levels(dtype: str) -> tuple[float, int]:
    return (2.0**-5, 3) if dtype == "int8" else (2.0**-12, 0)


def embedding_levels(dtype: str) -> tuple[float, int]:
    return (2.0**-5, -7) if dtype == "int8" else (2.0**-12, 0)
