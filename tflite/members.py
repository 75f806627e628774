"""Takes a quantization-aware network apart into the models that a device runs one by one, and wires them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import keras
import numpy as np

from keras_mtl.errors import ConversionError
from keras_mtl.models.timing import embeddings_of, frames_per_embedding
from keras_mtl.tflite.qat_event_head import INTERFACE, cell_step, classifier_step, look_ahead_of, recurrent_cells
from keras_mtl.tflite.qat_network import embeddings_range
from keras_mtl.tflite.wiring import Recurrent, Windows, Wiring

#: Windows heard together when the encoder's field of view is found: the one in the middle, and its neighbours.
_NEIGHBOURS = 3
_TRIALS = 3
_SEED = 7
#: Relative difference of two embeddings that are the same but for the order of floating-point sums.
_SAME = 1e-3


def wire(network: keras.Model, window_frames: int, clip_frames: int, scenes: bool = True) -> Wiring:
    """How the members of a network's set work together.

    Args:
        network: model of `build_qat_network`.
        window_frames: log-mel frames of one call of the encoder: the length of a scene clip.
        clip_frames: log-mel frames of a clip of events.
        scenes: whether the set has the scene decoder, where the network has one.

    Raises:
        ConversionError: an encoder that can't go over a clip window by window, and why.
    """
    names = {layer.name for layer in network.layers}
    windows = find_windows(network, window_frames)
    wiring = Wiring(windows, scene_head="scene_head" if scenes and "scene_head" in names else "")
    if "event_head" not in names:
        return wiring
    if clip_frames % windows.stride or clip_frames < window_frames:
        raise ConversionError(
            f"a clip of {clip_frames} frames is no whole number of embeddings of {windows.stride} frames, or shorter "
            f"than a window of {window_frames}"
        )
    head = network.get_layer("event_head")
    layers = tuple(Recurrent(forward, backward) for forward, backward in recurrent_cells(head))
    given, taken = embeddings_range(network.get_layer("encoder")), head.get_layer(INTERFACE)
    shift = taken.bits - 1 - given.bits if taken.bits != given.bits else None
    events = {"recurrent": layers, "classifiers": "event_classifiers", "look_ahead": look_ahead_of(head)}
    return replace(wiring, clip_frames=clip_frames, shift=shift, **events)


def build_members(network: keras.Model, wiring: Wiring) -> dict[str, keras.Model]:
    """The functional model of each member, with a fixed input; its layers are the network's own.

    Args:
        network: model of `build_qat_network`.
        wiring: of `wire` for the same network.
    """
    encoder = network.get_layer("encoder")
    inputs = keras.Input((wiring.windows.frames, *encoder.input_shape[2:]), name="log_mel")
    members = {wiring.encoder: keras.Model(inputs, encoder(inputs), name=wiring.encoder)}
    if wiring.scene_head:
        head = network.get_layer("scene_head")
        inputs = keras.Input((wiring.windows.embeddings, head.input_shape[-1]), name="embeddings")
        members[wiring.scene_head] = keras.Model(inputs, head(inputs), name=wiring.scene_head)
    for number, layer in enumerate(wiring.recurrent):
        head = network.get_layer("event_head")
        interface = None if number else head.get_layer(INTERFACE)
        for name in layer.cells:
            members[name] = cell_step(head, name, interface)
    if wiring.classifiers:
        members[wiring.classifiers] = classifier_step(network.get_layer("event_head"))
    return members


def find_windows(network: keras.Model, frames: int) -> Windows:
    """Which embeddings of a window see nothing but the window, found by trial.

    Whatever lies outside of the window is changed, and the embeddings that stay the same to the bit are kept. Weights
    and frames are random, so that no weight that happens to be 0 hides a dependence.

    Args:
        network: a network with the layer "encoder".
        frames: log-mel frames of the window.

    Raises:
        ConversionError: the window is no whole number of embeddings, no embedding is independent of what lies outside,
            or a window heard alone has other embeddings there (strided convolutions pad by the clip's length).
    """
    stride = frames_per_embedding(network)
    if frames % stride or embeddings_of(network, frames) != frames // stride:
        raise ConversionError(f"a window of {frames} frames is no whole number of embeddings of {stride} frames")
    encoder = keras.models.clone_model(network.get_layer("encoder"))
    random, count = np.random.default_rng(_SEED), frames // stride
    for weight in encoder.weights:
        if len(weight.shape) > 1:
            weight.assign(random.normal(0.0, 1.0, weight.shape) / np.sqrt(np.prod(weight.shape[:-1])))
    independent = np.ones(count, bool)
    alone = None
    for _ in range(_TRIALS):
        inside = random.normal(0.0, 1.0, (1, frames, *encoder.input_shape[2:])).astype(np.float32)
        found = []
        for _ in range(2):
            outside = random.normal(0.0, 1.0, (1, _NEIGHBOURS * frames, *encoder.input_shape[2:])).astype(np.float32)
            outside[:, frames : 2 * frames] = inside
            found.append(np.asarray(encoder(outside))[0, count : 2 * count])
        independent &= (found[0] == found[1]).all(axis=-1)
        alone = np.asarray(encoder(inside))[0], found[0]
    kept = np.flatnonzero(independent)
    if not kept.size or np.any(np.diff(kept) != 1):
        raise ConversionError(
            f"no embedding of {frames} frames is independent of what lies outside of them",
            hint="an encoder that looks over the whole clip can't hear it window by window",
        )
    _require_same(alone, kept)
    return Windows(frames, stride, int(kept[0]), int(kept[-1]) + 1)


def _require_same(alone: Any, kept: np.ndarray) -> None:
    heard, goal = (values[kept] for values in alone)
    if np.abs(heard - goal).max() > _SAME * max(float(np.abs(goal).max()), 1e-9):
        raise ConversionError(
            "a window heard alone has other embeddings than within a clip",
            hint="the encoder's strided layers pad by the clip's length, so it can't go window by window",
        )
