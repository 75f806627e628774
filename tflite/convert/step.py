"""Builds one step of a streaming encoder: a few log-mel frames and the layers' states in, one embedding out.

The layers are the encoder's own, with its weights and ranges; only convolutions are made anew, to read nothing beyond
the frames that are there. So a step computes what the encoder computes, operator by operator.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import keras

from keras_mtl.core import ConversionError
from keras_mtl.tflite.artifact import State, Stream
from keras_mtl.tflite.convert.alignment import CONVOLUTIONS, Place, align
from keras_mtl.tflite.qat import FakeQuant, Sum

_layers = keras.layers
#: Names of the file's ports beside the states.
INPUT, OUTPUT = "log_mel", "embedding"


def build_step(encoder: keras.Model) -> tuple[keras.Model, Stream]:
    """One step of an encoder.

    Args:
        encoder: functional model from log-mel [batch, frames, mel_bands, 1] to embeddings [batch, embeddings, size]:
            float, or the quantization-aware twin. It is read, not changed.

    Returns:
        A functional model from "log_mel" [batch, stride, mel_bands, 1] and the states [batch, frames, mel, channels] to
        {"embedding": [batch, size], and the next states by their names}, and how a device runs it.

    Raises:
        ConversionError: a layer that can't go step by step, and why.
    """
    encoder = getattr(encoder, "_functional", encoder)  # a Sequential model keeps a functional one
    if not hasattr(encoder, "_nodes_by_depth"):
        raise ConversionError(
            f"model {encoder.name} is not functional, so it can't go step by step",
            hint="build it from keras.Input and layers",
        )
    if len(encoder.output_shape) != 3:
        raise ConversionError(
            f"the encoder gives {encoder.output_shape}, no sequence of embeddings, so it can't go step by step",
            hint="encoders of mt, cnn, crnn and baseline_sed can",
        )
    plan = align(encoder)
    step = _Step(plan.places, any(isinstance(layer, FakeQuant) for layer in encoder.layers))
    log_mel = keras.Input((plan.stride, *encoder.input_shape[2:]), name=INPUT)
    embedding = encoder._run_through_graph(log_mel, step.of)
    model = keras.Model([log_mel, *step.inputs], {OUTPUT: embedding, **step.outputs}, name="encoder_step")
    for layer, source in step.made:
        layer.set_weights(source.get_weights())
    return model, Stream(plan.stride, plan.latency, plan.warm_up, tuple(step.states))


class _Step:
    """The states and the new layers of a step while it is built."""

    def __init__(self, places: dict[str, Place], quantized: bool) -> None:
        self._places, self._quantized = places, quantized
        self.states: list[State] = []
        self.inputs: list[Any] = []
        self.outputs: dict[str, Any] = {}
        self.made: list[tuple[Any, Any]] = []

    def of(self, layer: Any) -> Callable[..., Any]:
        """What is called in place of a layer of the encoder."""
        if isinstance(layer, _layers.Reshape):
            return _layers.Flatten(name=layer.name)
        place = self._places.get(layer.name)
        return layer if place is None else partial(self._placed, layer, place)

    def _placed(self, layer: Any, place: Place, frames: Any, **step: Any) -> Any:
        """A convolution or a pool on the frames that it held and those that came."""
        new = frames.shape[1]
        if place.held:
            frames = self._with_held(layer, place, frames)
        reach = place.reach
        read = reach.stride * (new // reach.stride - 1) + reach.length
        if read < frames.shape[1]:
            frames = frames[:, :read]
        if not isinstance(layer, CONVOLUTIONS):
            return layer(frames, **step)
        before, after = _mel_padding(layer, frames.shape[2])
        if before or after:
            frames = _layers.ZeroPadding2D(((0, 0), (before, after)), name=f"{layer.name}_padding")(frames)
        twin = type(layer).from_config({**layer.get_config(), "padding": "valid"})
        self.made.append((twin, layer))
        return twin(frames, **step)

    def _with_held(self, layer: Any, place: Place, frames: Any) -> Any:
        """Frames behind those that were held, with a new state of the last ones."""
        if self._quantized and place.range_of is None:
            raise ConversionError(
                f"the encoder can't go step by step: what layer {layer.name} reads has no range for a state"
            )
        state = State(layer.name, f"state_{len(self.states) + 1}", f"next_state_{len(self.states) + 1}", place.held)
        held = given = keras.Input((place.held, *frames.shape[2:]), name=state.taken)
        if place.range_of is not None:
            held, _ = place.range_of(given)
        joined = _joined(layer.name, held, frames, place.range_of)
        # Where as many are held as come, they are those that came: no operator is needed.
        self.outputs[state.given] = frames if place.held == frames.shape[1] else joined[:, -place.held :]
        self.inputs.append(given)
        self.states.append(state)
        return joined


def _joined(name: str, held: Any, frames: Any, range_of: FakeQuant | None) -> Any:
    """The frames that were held, and those that came after them.

    The converter has no CONCATENATION of 16 bits, which all engines have. It is given a sum of both, each with zeros
    where the other is, and `concatenate_sums` makes the one of the other in the file.
    """
    if range_of is None or range_of.bits == 8:
        return _layers.Concatenate(axis=1, name=f"{name}_frames")([held, frames])
    before = _layers.ZeroPadding2D(((0, frames.shape[1]), (0, 0)), name=f"{name}_before")(held)
    after = _layers.ZeroPadding2D(((held.shape[1], 0), (0, 0)), name=f"{name}_after")(frames)
    return range_of(Sum(name=f"{name}_frames")(before, others=after))[0]


def _mel_padding(layer: Any, bands: int) -> tuple[int, int]:
    """Zeros that a convolution's own padding puts before and behind the mel axis."""
    if layer.padding != "same":
        return 0, 0
    stride, length = layer.strides[1], (layer.kernel_size[1] - 1) * layer.dilation_rate[1] + 1
    missing = max((-(-bands // stride) - 1) * stride + length - bands, 0)
    return missing // 2, missing - missing // 2
