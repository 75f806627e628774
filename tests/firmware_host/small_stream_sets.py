"""Streaming sets of small networks built by hand, and the sets that hear clips by the same weights.

The encoder's embedding k reads the frames 2k - 1 .. 2k + 2, so that a step is late by one embedding, holds three
frames, and an embedding at a clip's beginning or end reads beyond it.
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from small_sets import (
    BANDS,
    CLIP,
    FEATURES,
    SEED,
    SIZE,
    STRIDE,
    WEIGHT,
    WINDOW,
    Maker,
    embedding_levels,
    input_levels,
    make_set,
)

from keras_mtl.firmware_host.engines.stream_set_runner import run_stream_set
from keras_mtl.tflite.artifact import Artifact
from keras_mtl.tflite.artifact_set import ArtifactSet
from keras_mtl.tflite.stream_set_wiring import StreamWiring
from keras_mtl.tflite.stream_wiring import State, Stream
from keras_mtl.tflite.wiring import Wiring

KERNEL, HELD = 4, 3
#: Embeddings of a clip, which are those of the ring of a bidirectional event decoder.
CLIP_EMBEDDINGS = CLIP // STRIDE
ENCODER = "encoder_step"
STREAM = Stream(STRIDE, 1, 1, (State("conv", "state_1", "next_state_1", HELD),))


class StreamMaker(Maker):
    """Makes an encoder that looks beyond its frames, whole and as a step."""

    def encoder(self, dtype: str) -> bytes:
        """[1, 8, 6, 1] to embeddings [1, 4, 4], with zeros beyond both ends."""
        made = self.builder()
        source = made.tensor("log_mel", (1, WINDOW, BANDS, 1), dtype, None, *input_levels(dtype))
        padded = made.tensor("padded", (1, WINDOW + 2, BANDS, 1), dtype, None, *input_levels(dtype))
        zeros = made.tensor("zeros", (4, 2), "int32", [[0, 0], [1, 1], [0, 0], [0, 0]])
        made.op("PAD", 2, [source, zeros], [padded], schema.PadOptionsT())
        out = self._convolution(made, padded, dtype, (1, WINDOW // STRIDE, SIZE), "embeddings")
        made.ends[0] = ([source], [out])
        return made.bytes()

    def step(self, dtype: str) -> bytes:
        """[1, 2, 6, 1] and the state [1, 3, 6, 1] to an embedding [1, 4] and the next state."""
        made = self.builder()
        source = made.tensor("log_mel", (1, STRIDE, BANDS, 1), dtype, None, *input_levels(dtype))
        state = made.tensor("state_1", (1, HELD, BANDS, 1), dtype, None, *input_levels(dtype))
        joined = made.tensor("joined", (1, HELD + STRIDE, BANDS, 1), dtype, None, *input_levels(dtype))
        after = made.tensor("next_state_1", (1, HELD, BANDS, 1), dtype, None, *input_levels(dtype))
        options = schema.ConcatenationOptionsT()
        options.axis = 1
        made.op("CONCATENATION", 2, [state, source], [joined], options)
        ends = [[0, STRIDE, 0, 0], [1, STRIDE + HELD, BANDS, 1], [1, 1, 1, 1]]
        parts = [made.tensor(f"part_{n}", (4,), "int32", each) for n, each in enumerate(ends)]
        made.op("STRIDED_SLICE", 2, [joined, *parts], [after], schema.StridedSliceOptionsT())
        out = self._convolution(made, joined, dtype, (1, SIZE), "embedding")
        # The state before the embedding: a driver must go by the names.
        made.ends[0] = ([source, state], [after, out])
        return made.bytes()

    def _convolution(self, made: Any, source: int, dtype: str, shape: tuple[int, ...], name: str) -> int:
        step, zero = embedding_levels(dtype)
        maps = made.tensor("maps", (1, int(np.prod(shape)) // SIZE, 1, SIZE), dtype, None, step, zero)
        out = made.tensor(name, shape, dtype, None, step, zero)
        # Always the same weights, whatever was made before.
        generator = np.random.default_rng(SEED)
        kernel, bias = generator.integers(-100, 100, (SIZE, KERNEL, BANDS, 1)), generator.integers(-200, 200, SIZE)
        steps, wide = np.full(SIZE, WEIGHT / 4), "int64" if dtype == "int16" else "int32"
        constants = [
            made.tensor("kernel", kernel.shape, "int8", kernel, steps),
            made.tensor("bias", bias.shape, wide, bias, steps * input_levels(dtype)[0]),
        ]
        options = schema.Conv2DOptionsT()
        options.padding, options.strideH, options.strideW = schema.Padding.VALID, STRIDE, BANDS
        options.dilationHFactor = options.dilationWFactor = 1
        made.op("CONV_2D", 3, [source, *constants], [maps], options)
        target = made.tensor("shape", (len(shape),), "int32", shape)
        made.op("RESHAPE", 1, [maps, target], [out], schema.ReshapeOptionsT())
        return out


@functools.cache
def make_windowed(builder: Any, dtype: str, look_ahead: int | None = None, part: str = "joint") -> ArtifactSet:
    """The set that hears clips, with two recurrent layers. Made once; nobody changes it."""
    return make_set(builder, part, dtype, 2, StreamMaker, look_ahead)


@functools.cache
def make_stream_set(
    builder: Any,
    dtype: str,
    look_ahead: int | None = None,
    scene_hop: int = 2,
    event_hop: int | None = None,
    part: str = "joint",
) -> ArtifactSet:
    """The streaming set of the same weights; its golden recording is noise, its results those of TFLM.

    Args:
        builder: the class that packs a model.
        dtype: of encoder and scene decoder, "int8" or "int16".
        look_ahead: of a causal event decoder; None for a bidirectional one.
        scene_hop, event_hop: as of `StreamWiring.of`.
        part: "joint", "events" or "scenes".
    """
    windowed = make_windowed(builder, dtype, look_ahead, "events" if part == "events" else "joint")
    heard, labels = windowed.wiring, windowed.manifest["labels"]
    if part == "scenes":
        heard, labels = Wiring(heard.windows, scene_head=heard.scene_head), {"scenes": labels["scenes"]}
    wiring = StreamWiring.of(heard, STREAM, ENCODER, scene_hop, event_hop)
    fmt = windowed.manifest["format"]
    facts = {"part": f"stream/{ENCODER}", "format": fmt, "system": "small", "audio_seconds": STRIDE * FEATURES.hop_s}
    step = StreamMaker(builder, np.random.default_rng(SEED)).step(dtype)
    calls = wiring.calls_per_second(FEATURES.frame_rate)
    members = {ENCODER: Artifact.build(step, facts)}
    for name in wiring.members[1:]:
        known = {key: windowed.members[name].manifest[key] for key in ("part", "format", "system")}
        members[name] = Artifact.build(windowed.members[name].content, known | {"audio_seconds": 1 / calls[name]})
    kept = ("format", "cells", "system", "features", "labels", "decoding", "seed", "data", "recipe", "metrics")
    manifest = {key: windowed.manifest[key] for key in kept}
    manifest |= {"labels": labels, "part": "stream", "audio_seconds": 1.0, "smoothing": {"weight": 0.5, "hold": 2}}
    made = ArtifactSet.build(members, wiring, manifest, {})
    recording = noise(dtype, 75)
    run = run_stream_set("tflm", made, recording)
    results = {"strong": run.strong, "scenes": run.scenes}
    golden = {"recording": recording} | {name: values for name, values in results.items() if values is not None}
    return ArtifactSet(made.members, made.manifest, golden)


def noise(dtype: str, frames: int, seed: int = 4) -> np.ndarray:
    """Log-mel of noise [frames, mel_bands] in the encoder's type."""
    limits = np.iinfo(dtype)
    return np.random.default_rng(seed).integers(limits.min, limits.max, (frames, BANDS), endpoint=True).astype(dtype)
