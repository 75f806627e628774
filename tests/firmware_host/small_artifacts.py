"""Streaming artifacts of small networks built by hand, as `convert` makes them of a trained one.

The encoder's embedding k reads the frames 2k - 1 .. 2k + 2, so that a step is late by one embedding, holds three
frames, and an embedding at a clip's beginning or end reads beyond it. Another one, of two states, gives its outputs in
another order; its scenes and events change often.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from keras_mtl.core import Labels, LogMelSettings
from keras_mtl.decoding import DecodeSettings
from keras_mtl.firmware_host.engines import run
from keras_mtl.tflite import flatbuffer
from keras_mtl.tflite.artifact import Artifact, Golden, Member, Recurrent, State, Stream, Wiring

WINDOW, BANDS, STRIDE, CLIP = 8, 6, 2, 24
SIZE, UNITS = 4, 3
FEATURES = LogMelSettings(mel_bands=BANDS, mean_db=-40.0, std_db=12.0)
WEIGHT = 2.0**-6
_SUMS, _STATE = 2.0**-12, 2.0**-15
_SEED, _TWO_STATE_SEED = 5, 15
KERNEL, HELD = 4, 3
#: Embeddings of a clip, which are those of the ring of a bidirectional event decoder.
CLIP_EMBEDDINGS = CLIP // STRIDE
ENCODER = "encoder_step"
STREAM = Stream(STRIDE, 1, 1, (State("conv", "state_1", "next_state_1", HELD),))
_TWO_STATES = (State("first", "state_1", "next_state_1", STRIDE), State("second", "state_2", "next_state_2", 1))
_DECODING = DecodeSettings(0.5, 0.06, scene_weight=0.3, scene_hold_calls=2)
_LABELS = Labels(("bus", "park", "tram"), ("bark", "bell"))
#: All that a recipe may say, one class other than the other.
DECODED_OTHERWISE = DecodeSettings(
    0.5, 0.06, 0.02, 0.9, 1, gap_s=0.02, classes={"bell": {"threshold": 0.49, "median_s": 0.1, "shortest_s": 0.04}}
)
#: Names that C, JSON, HTML, Markdown, CMake or Matplotlib may read as something else.
ODD_NAMES = (
    "Straße, nass",
    "кашель",
    'he said "no"',
    r"C:\new\060",
    "what??/ no??'",
    "*/ #endif /* %s%n",
    "<b>&amp;</b>",
    "a|b `c` ${d} @e@",
    "$x_1^2$ and $",
    "\N{DOG FACE}\N{ZERO WIDTH JOINER}\N{CAT FACE}",
    "咳嗽",
    "of tomorrow \U0001fae8, and no\N{NO-BREAK SPACE}break",
    "\\",
)


@dataclass
class Maker:
    """Makes the members of one artifact.

    Attributes:
        builder: the class that packs a model.
        generator: of the weights.
        labels: how many outputs the decoders have.
    """

    builder: Any
    generator: np.random.Generator
    labels: Labels = _LABELS

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

    def scene_head(self, dtype: str) -> bytes:
        """Embeddings of a window to logits [1, scenes]."""
        made, (step, zero), scenes = self.builder(), embedding_grid(dtype), len(self.labels.scenes)
        source = made.tensor("embeddings", (1, WINDOW // STRIDE, SIZE), dtype, None, step, zero)
        out = made.tensor("scene_logits", (1, scenes), dtype, None, step * 4, 0)
        self.dense(made, source, step, zero, (WINDOW // STRIDE * SIZE, scenes), out, dtype)
        made.ends[0] = ([source], [out])
        return made.bytes()

    def cell(self, inputs: int, step: float) -> bytes:
        """tanh(W input + V state), int16."""
        made = self.builder()
        source = made.tensor("input", (1, inputs), "int16", None, step)
        state = made.tensor("state", (1, UNITS), "int16", None, _STATE)
        names = ("of_input", "of_state", "both")
        of_input, of_state, both = (made.tensor(name, (1, UNITS), "int16", None, _SUMS) for name in names)
        out = made.tensor("next_state", (1, UNITS), "int16", None, _STATE)
        self.dense(made, source, step, 0, (inputs, UNITS), of_input, "int16")
        self.dense(made, state, _STATE, 0, (UNITS, UNITS), of_state, "int16")
        made.op("ADD", 1, [of_input, of_state], [both], schema.AddOptionsT())
        made.op("TANH", 3, [both], [out])
        made.ends[0] = ([source, state], [out])
        return made.bytes()

    def classifiers(self, width: int) -> bytes:
        """States of the last layer to probabilities and attention logits [1, events]."""
        made, events = self.builder(), len(self.labels.events)
        source = made.tensor("states", (1, width), "int16", None, _STATE)
        logits, attention = (made.tensor(name, (1, events), "int16", None, _SUMS) for name in ("logits", "attention"))
        strong = made.tensor("strong", (1, events), "int16", None, _STATE)
        self.dense(made, source, _STATE, 0, (width, events), logits, "int16")
        made.op("LOGISTIC", 1, [logits], [strong])
        self.dense(made, source, _STATE, 0, (width, events), attention, "int16")
        made.ends[0] = ([source], [strong, attention])
        return made.bytes()

    def whole(self, dtype: str, frames: int) -> bytes:
        """The encoder of a whole clip [1, frames, 6, 1] to [1, frames / 2, 4], with zeros beyond both ends."""
        made = self.builder()
        source = made.tensor("log_mel", (1, frames, BANDS, 1), dtype, None, *input_grid(dtype))
        padded = made.tensor("padded", (1, frames + 2, BANDS, 1), dtype, None, *input_grid(dtype))
        zeros = made.tensor("zeros", (4, 2), "int32", [[0, 0], [1, 1], [0, 0], [0, 0]])
        made.op("PAD", 2, [source, zeros], [padded], schema.PadOptionsT())
        out = self._convolution(made, padded, dtype, (1, frames // STRIDE, SIZE), "embeddings")
        made.ends[0] = ([source], [out])
        return made.bytes()

    def step(self, dtype: str) -> bytes:
        """[1, 2, 6, 1] and the state [1, 3, 6, 1] to an embedding [1, 4] and the next state."""
        made = self.builder()
        source = made.tensor("log_mel", (1, STRIDE, BANDS, 1), dtype, None, *input_grid(dtype))
        state = made.tensor("state_1", (1, HELD, BANDS, 1), dtype, None, *input_grid(dtype))
        joined = made.tensor("joined", (1, HELD + STRIDE, BANDS, 1), dtype, None, *input_grid(dtype))
        after = made.tensor("next_state_1", (1, HELD, BANDS, 1), dtype, None, *input_grid(dtype))
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

    def two_state_step(self, dtype: str) -> bytes:
        """Two frames and two states (the frames before, and what was made of them) to an embedding.

        The outputs stand in another order than the inputs.
        """
        made, (step, zero) = self.builder(), embedding_grid(dtype)
        frames = (1, STRIDE, BANDS, 1)
        new = made.tensor("log_mel", frames, dtype, None, *input_grid(dtype))
        held = made.tensor("state_1", frames, dtype, None, *input_grid(dtype))
        before = made.tensor("state_2", (1, SIZE), dtype, None, step, zero)
        both = made.tensor("both", (1, 2 * STRIDE, BANDS, 1), dtype, None, *input_grid(dtype))
        kept = made.tensor("next_state_1", frames, dtype, None, *input_grid(dtype))
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
        bias = self.generator.integers(-200, 200, SIZE)
        made.op("CONV_2D", 3, [both, *_weights(made, kernel, bias, WEIGHT / 8, dtype)], [maps], _strides(1, 1))
        shape = made.tensor("shape", (2,), "int32", [1, SIZE])
        made.op("RESHAPE", 1, [maps, shape], [flat], schema.ReshapeOptionsT())
        made.op("ADD", 1, [flat, before], [out], schema.AddOptionsT())
        made.ends[0] = ([new, held, before], [flat, out, kept])
        return made.bytes()

    def _convolution(self, made: Any, source: int, dtype: str, shape: tuple[int, ...], name: str) -> int:
        step, zero = embedding_grid(dtype)
        maps = made.tensor("maps", (1, int(np.prod(shape)) // SIZE, 1, SIZE), dtype, None, step, zero)
        out = made.tensor(name, shape, dtype, None, step, zero)
        # Always the same weights, whatever was made before.
        generator = np.random.default_rng(_SEED)
        kernel, bias = generator.integers(-100, 100, (SIZE, KERNEL, BANDS, 1)), generator.integers(-200, 200, SIZE)
        constants = _weights(made, kernel, bias, WEIGHT / 4, dtype)
        made.op("CONV_2D", 3, [source, *constants], [maps], _strides(STRIDE, BANDS))
        target = made.tensor("shape", (len(shape),), "int32", shape)
        made.op("RESHAPE", 1, [maps, target], [out], schema.ReshapeOptionsT())
        return out


@functools.cache
def make_streaming(
    builder: Any,
    dtype: str,
    look_ahead: int | None = None,
    scene_hop: int = 2,
    event_hop: int | None = None,
    part: str = "joint",
) -> Artifact:
    """A streaming artifact of two recurrent layers; its golden recording is noise, its outputs those of TFLM.

    Made once; nobody changes it.

    Args:
        builder: the class that packs a model.
        dtype: of encoder and scene decoder, "int8" or "int16"; the cells have 16 bits.
        look_ahead: of a causal event decoder; None for a bidirectional one.
        scene_hop, event_hop: as of `Wiring.streaming`.
        part: "joint", "events" or "scenes".
    """
    maker = Maker(builder, np.random.default_rng(_SEED))
    wiring = _wiring(dtype, look_ahead, part).streaming(STREAM, scene_hop, event_hop)
    contents = {ENCODER: maker.step(dtype)}
    contents |= _decoders(maker, dtype, look_ahead, ("classifiers", "scene_head"))
    decoding = DecodeSettings(0.5, 0.06, scene_weight=0.5, scene_hold_calls=2)
    return _artifact(contents, wiring, dtype, part, decoding, noise(dtype, 75))


@functools.cache
def make_two_state(
    builder: Any,
    dtype: str,
    look_ahead: int | None = None,
    part: str = "joint",
    decoding: DecodeSettings = _DECODING,
    labels: Labels = _LABELS,
) -> Artifact:
    """The same with an encoder of two states, which is two steps late, longer golden data, and any classes."""
    maker = Maker(builder, np.random.default_rng(_TWO_STATE_SEED), labels)
    wiring = _wiring(dtype, look_ahead, part).streaming(Stream(STRIDE, 2, 1, _TWO_STATES), scene_hop=3)
    contents = {ENCODER: maker.two_state_step(dtype)}
    contents |= _decoders(maker, dtype, look_ahead, ("scene_head", "classifiers"))
    recording = noise(dtype, 6 * CLIP, _TWO_STATE_SEED)
    return _artifact(contents, wiring, dtype, part, decoding, recording, labels)


def noise(dtype: str, frames: int, seed: int = 4) -> np.ndarray:
    """Log-mel of noise [frames, mel_bands] in the encoder's type."""
    limits = np.iinfo(dtype)
    return np.random.default_rng(seed).integers(limits.min, limits.max, (frames, BANDS), endpoint=True).astype(dtype)


def input_grid(dtype: str) -> tuple[float, int]:
    """Step and zero point of the log-mel."""
    return (2.0**-5, 3) if dtype == "int8" else (2.0**-12, 0)


def embedding_grid(dtype: str) -> tuple[float, int]:
    """Step and zero point of the embeddings."""
    return (2.0**-5, -7) if dtype == "int8" else (2.0**-12, 0)


def _weights(made: Any, kernel: np.ndarray, bias: np.ndarray, step: float, dtype: str) -> list[int]:
    steps = np.full(SIZE, step)
    return [
        made.tensor("kernel", kernel.shape, "int8", kernel, steps),
        made.tensor("bias", bias.shape, "int64" if dtype == "int16" else "int32", bias, steps * input_grid(dtype)[0]),
    ]


def _strides(height: int, width: int) -> Any:
    options = schema.Conv2DOptionsT()
    options.padding, options.strideH, options.strideW = schema.Padding.VALID, height, width
    options.dilationHFactor = options.dilationWFactor = 1
    return options


def _wiring(dtype: str, look_ahead: int | None, part: str) -> Wiring:
    events, two_ways = part != "scenes", look_ahead is None
    layers = tuple(Recurrent(f"gru_{n}_forward", f"gru_{n}_backward" if two_ways else None) for n in (1, 2) if events)
    return Wiring(
        encoder=ENCODER,
        scene_head="" if part == "events" else "scene_head",
        recurrent=layers,
        classifiers="classifiers" if events else "",
        shift=7 if dtype == "int8" else None,
        look_ahead=(look_ahead or 0) if events else 0,
        scene_ring=0 if part == "events" else WINDOW // STRIDE,
        event_ring=CLIP_EMBEDDINGS if events and two_ways else 0,
    )


def _decoders(maker: Maker, dtype: str, look_ahead: int | None, first: tuple[str, str]) -> dict[str, bytes]:
    """All decoders there may be, whatever the part: these two first, since the order makes the weights."""
    ways = ["forward"] if look_ahead is not None else ["forward", "backward"]
    width, step = UNITS * len(ways), embedding_grid(dtype)[0] / (128 if dtype == "int8" else 1)
    made = {"classifiers": lambda: maker.classifiers(width), "scene_head": lambda: maker.scene_head(dtype)}
    contents = {name: made[name]() for name in first}
    for number in (1, 2):
        inputs = (SIZE, step) if number == 1 else (width, _STATE)
        contents |= {f"gru_{number}_{way}": maker.cell(*inputs) for way in ways}
    return contents


def _artifact(
    contents: Mapping[str, bytes],
    wiring: Wiring,
    dtype: str,
    part: str,
    decoding: DecodeSettings,
    recording: np.ndarray,
    labels: Labels = _LABELS,
) -> Artifact:
    fmt, calls, members = "int8" if dtype == "int8" else "int16x8", wiring.calls_per_second(FEATURES.frame_rate), {}
    for name in wiring.members:
        facts: dict[str, Any] = {"part": f"stream/{name}", "system": "small", "audio_seconds": 1 / calls[name]}
        facts["format"] = fmt if name in (ENCODER, "scene_head") else "int16x8"
        members[name] = Member.build(name, flatbuffer.read_model(contents[name]), facts)
    facts = {
        "part": part,
        "format": fmt,
        "cells": "int16x8",
        "system": "small",
        "features": FEATURES.to_dict(),
        "labels": (labels if part == "joint" else labels.of([part])).to_dict(),
        "decoding": asdict(decoding),
        "seed": 0,
        "data": {"name": "noise", "fingerprint": "0" * 64},
        "recipe": {"name": "small", "sha256": "1" * 64},
        "metrics": {"events": {"psds1": 0.25}},
        "audio_seconds": 1.0,
    }
    made = Artifact.streaming(members, wiring, facts)
    outputs = run("tflm", made, {"recording": recording}).outputs
    known = {name: outputs[name] for name in ("scenes", "strong") if name in outputs}
    return replace(made, golden=Golden({"recording": recording}, known))
