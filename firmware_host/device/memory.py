"""The buffers of the C listener: what a streaming artifact needs on a device beside the arenas of its networks."""

from __future__ import annotations

from dataclasses import dataclass

from keras_mtl.core import ArtifactError
from keras_mtl.decoding import decoder_numbers
from keras_mtl.tflite.artifact import Artifact, Wiring

#: By the types' names in manifests and NumPy.
C_TYPES = {
    "int8": "int8_t",
    "uint8": "uint8_t",
    "int16": "int16_t",
    "int32": "int32_t",
    "float32": "float",
}


#: What a listener has beside its buffers, and what aligns them, at the most: on a Cortex-M it was less than 400 bytes.
LISTENER_STATE_BYTES = 400
#: The buffers of the front end.
FRONT_END = ("history", "scratch", "levels")
#: Of the samples that the front end in fixed point keeps.
_FIXED_SAMPLE_BYTES = 2
#: Bytes of an element on a 32-bit device; the structs are those of kmtl_event_stream.h and kmtl_cells.h.
_BYTES = {
    "float": 4,
    # As float32 has them.
    "kmtl_log_mel_sample_t": 4,
    "kmtl_log_mel_scratch_t": 4,
    "int8_t": 1,
    "uint8_t": 1,
    "int16_t": 2,
    "int32_t": 4,
    "kmtl_event_track_t": 24,
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


def listener_memory(artifact: Artifact) -> dict[str, Buffer]:
    """The buffers by the names of `kmtl_listener_memory_t` and `kmtl_event_stream_memory_t`.

    Raises:
        ArtifactError: it takes clips, or its members have other ports than such an artifact's.
    """
    wiring = artifact.wiring
    wiring.stream  # noqa: B018  refuses an artifact that takes clips
    try:
        return _of_all(artifact, wiring)
    except (LookupError, ValueError, StopIteration) as error:
        raise ArtifactError(
            f"the artifact's members don't have the ports that its wiring asks for ({type(error).__name__}: {error})",
            hint="convert the run again",
        ) from None


def listener_buffers(artifact: Artifact, front_end: str = "float") -> dict[str, int]:
    """Bytes of each buffer that a listener has, with the log-mel computed in "float" or "fixed" point.

    Raises:
        ArtifactError: as of `listener_memory`.
    """
    memory = listener_memory(artifact)
    sizes = {name: buffer.size_bytes for name, buffer in memory.items()}
    return sizes | ({"history": _FIXED_SAMPLE_BYTES * memory["history"].elements} if front_end == "fixed" else {})


def pass_cells(wiring: Wiring) -> int:
    """Cells that a pass of both directions over the ring invokes; 0 of a causal decoder, and without one."""
    return 2 * len(wiring.recurrent) * wiring.event_ring


def cell_steps(wiring: Wiring) -> int:
    """Cells that the C listener invokes with an embedding: as few as end a pass within half a hop."""
    cells = pass_cells(wiring)
    return min(cells, -(-2 * cells // wiring.stream.event_hop))


def pass_embeddings(wiring: Wiring) -> int:
    """Embeddings that come after the one that a pass begins with until the C listener has its last score."""
    return -(-pass_cells(wiring) // cell_steps(wiring)) - 1 if wiring.event_ring else 0


def score_embeddings(wiring: Wiring) -> int:
    """The same until it has the first score that it keeps, that of the step which waited longest."""
    if not wiring.event_ring:
        return 0
    before = pass_cells(wiring) - wiring.event_ring + wiring.kept()["kept_from"]
    return before // cell_steps(wiring)


def kept_embeddings(wiring: Wiring) -> int:
    """Embeddings that the ring holds: those read at a time, and those that come while a pass needs its oldest one."""
    during = wiring.event_ring // cell_steps(wiring) if wiring.event_ring else 0
    return max(wiring.scene_ring, wiring.event_ring + during, 1)


def embedding_place(artifact: Artifact) -> int:
    """Place of the embedding among the outputs of a streaming artifact's encoder, the others being its next states."""
    given = {state.given for state in artifact.wiring.stream.states}
    return next(place for place, port in enumerate(artifact.network.outputs) if port.name not in given)


def _of_all(artifact: Artifact, wiring: Wiring) -> dict[str, Buffer]:
    settings, encoder = artifact.facts.features, artifact.members[wiring.encoder]
    log_mel, *states = encoder.inputs
    size = encoder.outputs[embedding_place(artifact)].size
    kind = C_TYPES[log_mel.dtype]
    found = {
        "history": Buffer("kmtl_log_mel_sample_t", settings.window),
        "scratch": Buffer("kmtl_log_mel_scratch_t", 2 * settings.fft),
        "levels": Buffer("float", settings.mel_bands),
        "log_mel": Buffer(kind, wiring.stream.stride * settings.mel_bands),
        "states": Buffer(kind, max(1, sum(port.elements for port in states))),
        "embedding": Buffer(kind, size),
        "ring": Buffer(kind, kept_embeddings(wiring) * size),
    }
    if wiring.scene_head:
        (port,) = artifact.members[wiring.scene_head].outputs
        found["logits"] = Buffer(C_TYPES[port.dtype], port.size)
        found["scene_scores"] = Buffer("float", port.size)
    return found | (_of_events(artifact, wiring, size) if wiring.classifiers else {})


def _of_events(artifact: Artifact, wiring: Wiring, size: int) -> dict[str, Buffer]:
    ports = [artifact.members[layer.forward].inputs[1] for layer in wiring.recurrent]
    kind, units = C_TYPES[ports[0].dtype], [port.size for port in ports]
    classes = artifact.members[wiring.classifiers].outputs[0].size
    layers, ring = len(units), wiring.event_ring
    numbers = decoder_numbers(artifact.facts.decoding, artifact.facts.labels.events, artifact.step_s)
    sizes = {
        "running_states": (kind, 2 * max(units) if ring else sum(units)),
        "cell_input": ("int16_t", size if wiring.shift is not None else 0),
        "scores": ("int16_t", classes),
        "decoder_scores": ("int16_t", 2 * classes * max(numbers["median"])),
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
