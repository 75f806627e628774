"""Streaming sets of small networks built by hand whose encoder has two states and gives its outputs in another order.

Their scenes and events change often, so that what a listener hears is worth comparing.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from small_sets import (
    BANDS,
    CLIP,
    FEATURES,
    SIZE,
    STRIDE,
    UNITS,
    WEIGHT,
    WINDOW,
    Maker,
    embedding_levels,
    input_levels,
)

from keras_mtl.firmware_host.engines.stream_set_runner import run_stream_set
from keras_mtl.tflite.artifact import Artifact
from keras_mtl.tflite.artifact_set import ArtifactSet
from keras_mtl.tflite.stream_set_wiring import StreamWiring
from keras_mtl.tflite.stream_wiring import State, Stream
from keras_mtl.tflite.wiring import Recurrent, Windows, Wiring

LATENCY = 2
_SEED = 15
_STATE = 2.0**-15


class _StepMaker(Maker):
    """Makes the members of one streaming set."""

    def step(self, dtype: str) -> bytes:
        """Two frames and two states (the frames before, and what was made of them) to an embedding.

        The outputs stand in another order than the inputs.
        """
        made, (step, zero) = self.builder(), embedding_levels(dtype)
        frames = (1, STRIDE, BANDS, 1)
        new = made.tensor("log_mel", frames, dtype, None, *input_levels(dtype))
        held = made.tensor("state_1", frames, dtype, None, *input_levels(dtype))
        before = made.tensor("state_2", (1, SIZE), dtype, None, step, zero)
        both = made.tensor("both", (1, 2 * STRIDE, BANDS, 1), dtype, None, *input_levels(dtype))
        kept = made.tensor("next_state_1", frames, dtype, None, *input_levels(dtype))
        maps = made.tensor("maps", (1, 1, 1, SIZE), dtype, None, step, zero)
        flat = made.tensor("next_state_2", (1, SIZE), dtype, None, step, zero)
        out = made.tensor("embedding", (1, SIZE), dtype, None, step, zero)
        joined = schema.ConcatenationOptionsT()
        joined.axis = 1
        made.op("CONCATENATION", 1, [held, new], [both], joined)
        begin = made.tensor("begin", (4,), "int32", [0, STRIDE, 0, 0])
        size = made.tensor("size", (4,), "int32", list(frames))
        made.op("SLICE", 1, [both, begin, size], [kept], schema.SliceOptionsT())
        kernel = self.generator.integers(-100, 100, (SIZE, 2 * STRIDE, BANDS, 1))
        steps = np.full(SIZE, WEIGHT / 8)
        bias = self.generator.integers(-200, 200, SIZE)
        weights = made.tensor("kernel", kernel.shape, "int8", kernel, steps)
        kind = "int64" if dtype == "int16" else "int32"
        offsets = made.tensor("bias", bias.shape, kind, bias, steps * input_levels(dtype)[0])
        options = schema.Conv2DOptionsT()
        options.padding, options.strideH, options.strideW = schema.Padding.VALID, 1, 1
        options.dilationHFactor = options.dilationWFactor = 1
        made.op("CONV_2D", 3, [both, weights, offsets], [maps], options)
        shape = made.tensor("shape", (2,), "int32", [1, SIZE])
        made.op("RESHAPE", 1, [maps, shape], [flat], schema.ReshapeOptionsT())
        made.op("ADD", 1, [flat, before], [out], schema.AddOptionsT())
        made.ends[0] = ([new, held, before], [flat, out, kept])
        return made.bytes()


def make_stream_set(
    builder: Any, dtype: str, causal: bool, look_ahead: int = 0, tasks: tuple[str, ...] = ("scenes", "events")
) -> ArtifactSet:
    """A set of two recurrent layers, whose reference results are those of TensorFlow Lite Micro.

    Args:
        builder: the class that packs a model.
        dtype: of the encoder and the scene decoder, "int8" or "int16"; the cells have 16 bits.
        causal: whether the event decoder hears forwards only.
        look_ahead: of a causal one.
        tasks: what it decodes.
    """
    maker = _StepMaker(builder, np.random.default_rng(_SEED))
    shift = 7 if dtype == "int8" else None
    step = embedding_levels(dtype)[0] / (128 if shift else 1)
    events = "events" in tasks
    layers = tuple(Recurrent(f"gru_{n}_forward", None if causal else f"gru_{n}_backward") for n in (1, 2) if events)
    decoders = {"scene_head": "scene_head" if "scenes" in tasks else "", "classifiers": "classifiers" if events else ""}
    windows = Windows(WINDOW, STRIDE, 1, 3)
    wiring = Wiring(windows, CLIP if events else 0, layers, shift, look_ahead=look_ahead, **decoders)
    states = (State("first", "state_1", "next_state_1", STRIDE), State("second", "state_2", "next_state_2", 1))
    stream = Stream(STRIDE, LATENCY, 1, states)
    wiring = StreamWiring.of(wiring, stream, "encoder_step", scene_hop=3)
    contents = {"encoder_step": maker.step(dtype), "scene_head": maker.scene_head(dtype)}
    contents["classifiers"] = maker.classifiers(UNITS if causal else 2 * UNITS)
    for number, layer in enumerate(layers):
        for name in layer.cells:
            contents[name] = maker.cell(UNITS * len(layer.cells) if number else SIZE, _STATE if number else step)
    fmt = "int8" if dtype == "int8" else "int16x8"
    calls = wiring.calls_per_second(FEATURES.frame_rate)
    members = {
        name: Artifact.build(
            contents[name],
            {
                "part": f"stream/{name}",
                "format": fmt if name in ("encoder_step", "scene_head") else "int16x8",
                "system": "small",
                "audio_seconds": 1 / calls[name],
            },
        )
        for name in wiring.members
    }
    labels = {"scenes": ["bus", "park", "tram"], "events": ["bark", "bell"]}
    facts = {
        "part": "stream",
        "format": fmt,
        "cells": "int16x8",
        "system": "small",
        "features": FEATURES.to_dict(),
        "labels": {task: labels[task] for task in tasks},
        "decoding": {"threshold": 0.5, "median_s": 0.06},
        "smoothing": {"weight": 0.3, "hold": 2},
        "rings": {},
        "latency_s": {},
        "seed": 0,
        "data": {"name": "noise", "fingerprint": "0" * 64},
        "recipe": {"name": "small", "sha256": "1" * 64},
        "metrics": {},
        "audio_seconds": 1.0,
    }
    artifacts = ArtifactSet.build(members, wiring, facts, {})
    limits = np.iinfo(dtype)
    recording = np.random.default_rng(_SEED).integers(limits.min, limits.max, (6 * CLIP, BANDS), dtype, endpoint=True)
    run = run_stream_set("tflm", artifacts, recording)
    results = {"scenes": run.scenes, "strong": run.strong}
    golden = {"recording": recording} | {name: values for name, values in results.items() if values is not None}
    return ArtifactSet(artifacts.members, artifacts.manifest, golden)
