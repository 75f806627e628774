"""The buffers of the C listener: what a streaming set needs on a device beside the arenas of its networks."""

from __future__ import annotations

import math
from dataclasses import dataclass

from keras_mtl.errors import ArtifactError
from keras_mtl.features import LogMelSettings
from keras_mtl.firmware_host.c_types import C_TYPES
from keras_mtl.firmware_host.event_median import median_steps
from keras_mtl.tflite.artifact_set import ArtifactSet
from keras_mtl.tflite.stream_set_wiring import StreamWiring

#: What a listener has beside its buffers, and what aligns them, at the most: on a Cortex-M it was less than 400 bytes.
LISTENER_STATE_BYTES = 400
#: The buffers of the front end.
FRONT_END = ("history", "scratch", "levels")
#: Bytes of an element on a 32-bit device; the structs are those of kmtl_event_stream.h and kmtl_cells.h.
_BYTES = {
    "float": 4,
    "int8_t": 1,
    "uint8_t": 1,
    "int16_t": 2,
    "int32_t": 4,
    "kmtl_event_track_t": 16,
    "kmtl_event_t": 24,
    "kmtl_cell_t": 16,
    "kmtl_event_cell_t": 12,
    "kmtl_cells_layer_t": 12,
}


@dataclass(frozen=True)
class Buffer:
    """One buffer.

    Attributes:
        kind: type of its elements in C.
        elements: how many.
        of_events: whether it is one of `kmtl_event_stream_memory_t`.
    """

    kind: str
    elements: int
    of_events: bool = False

    @property
    def size_bytes(self) -> int:
        """Its bytes on a 32-bit device."""
        return _BYTES[self.kind] * self.elements


def listener_memory(artifacts: ArtifactSet) -> dict[str, Buffer]:
    """The buffers by the names of `kmtl_listener_memory_t` and `kmtl_event_stream_memory_t`.

    Args:
        artifacts: a streaming set.

    Raises:
        ArtifactError: it hears clips, or its members have other ports than such a set's.
    """
    wiring = artifacts.stream_wiring
    try:
        return _of_all(artifacts, wiring)
    except (LookupError, ValueError, StopIteration) as error:
        raise ArtifactError(
            f"the set's members don't have the ports that its wiring asks for ({type(error).__name__}: {error})",
            hint="convert the run again",
        ) from None


def listener_buffers(artifacts: ArtifactSet) -> dict[str, int]:
    """Bytes of each buffer that a listener has.

    Args:
        artifacts: a streaming set.

    Raises:
        ArtifactError: as of `listener_memory`.
    """
    return {name: buffer.size_bytes for name, buffer in listener_memory(artifacts).items()}


def _of_all(artifacts: ArtifactSet, wiring: StreamWiring) -> dict[str, Buffer]:
    settings = LogMelSettings.from_dict(artifacts.manifest["features"])
    encoder = artifacts.members[wiring.encoder].manifest
    heard, *states = encoder["inputs"]
    given = {state.given for state in wiring.stream.states}
    size = next(port["shape"][-1] for port in encoder["outputs"] if port["name"] not in given)
    kind = C_TYPES[heard["dtype"]]
    found = {
        "history": Buffer("float", settings.window),
        "scratch": Buffer("float", 2 * settings.fft),
        "levels": Buffer("float", settings.mel_bands),
        "log_mel": Buffer(kind, wiring.stream.stride * settings.mel_bands),
        "states": Buffer(kind, max(1, sum(math.prod(port["shape"]) for port in states))),
        "embedding": Buffer(kind, size),
        "ring": Buffer(kind, max(wiring.scene_ring, wiring.event_ring, 1) * size),
    }
    if wiring.scene_head:
        (port,) = artifacts.members[wiring.scene_head].manifest["outputs"]
        found["logits"] = Buffer(C_TYPES[port["dtype"]], port["shape"][-1])
        found["scene_scores"] = Buffer("float", port["shape"][-1])
    return found | (_of_events(artifacts, wiring, size) if wiring.classifiers else {})


def _of_events(artifacts: ArtifactSet, wiring: StreamWiring, size: int) -> dict[str, Buffer]:
    ports = [artifacts.members[layer.forward].manifest["inputs"][1] for layer in wiring.recurrent]
    kind, units = C_TYPES[ports[0]["dtype"]], [port["shape"][-1] for port in ports]
    classes = artifacts.members[wiring.classifiers].manifest["outputs"][0]["shape"][-1]
    layers, ring = len(units), wiring.event_ring
    sizes = {
        "running_states": (kind, 2 * max(units) if ring else sum(units)),
        "cell_input": ("int16_t", size if wiring.shift is not None else 0),
        "scores": ("int16_t", classes * max(ring, 1)),
        "decoder_scores": ("int16_t", 2 * classes * median_steps(artifacts.manifest, wiring)),
        "tracks": ("kmtl_event_track_t", classes),
        "changes": ("kmtl_event_t", classes),
    }
    if ring:
        sizes |= {
            "layer_states": (kind, ring * (2 * sum(units) - units[-1])),
            "cells": ("kmtl_cell_t", 2 * layers),
            "cell_networks": ("kmtl_event_cell_t", 2 * layers),
            "cell_layers": ("kmtl_cells_layer_t", layers),
        }
    return {name: Buffer(*each, True) for name, each in sizes.items() if each[1]}
