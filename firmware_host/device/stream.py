"""A streaming artifact on a device: log-mel in, in parts of any size; the outputs of both decoders out.

A driver keeps the encoder's states and the frames that do not fill a step yet, one ring of embeddings that both
decoders read, and the cells' states, all as integers. What is due follows from how many embeddings there are, so that
the sizes of the parts change nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from keras_mtl.core import ArtifactError
from keras_mtl.firmware_host.device.events import CausalSteps, Scores, two_way_pass
from keras_mtl.firmware_host.device.member import OpenMember
from keras_mtl.tflite.artifact import Pass, Wiring


@dataclass(frozen=True, eq=False)
class Outputs:
    """The networks' outputs of one step of the encoder, or at the end of a recording.

    Attributes:
        embeddings: how many embeddings there are since the start, this step's included.
        scenes: logits [scenes] of the scene decoder as integers; None where it was not due.
        strong: probabilities [n, events] as integers, of the embeddings that follow the last ones given; n may be 0.
        attention: of the same embeddings the logits of the attention, from which a clip's probability is made.
        embedding: the encoder's output [size]; None at the end of a recording. The first `latency` after a start are of
            what was before it, and do not count.
    """

    embeddings: int
    scenes: np.ndarray | None
    strong: np.ndarray
    attention: np.ndarray
    embedding: np.ndarray | None = None


class StreamLoop:
    """Runs a streaming artifact over log-mel frames, from a start on.

    Raises:
        ArtifactError: the encoder has other ports than the wiring.
    """

    def __init__(self, wiring: Wiring, members: Mapping[str, OpenMember]) -> None:
        self._wiring, self._members, self._stream = wiring, members, wiring.stream
        self._encoder = encoder = members[wiring.encoder]
        taken, given = ([port.name for port in ports] for ports in (encoder.inputs, encoder.outputs))
        wanted, made = ([getattr(state, end) for state in self._stream.states] for end in ("taken", "given"))
        others = [number for number, name in enumerate(given) if name not in made]
        fits = taken[1:] == wanted and len(others) == 1 and len(given) == len(made) + 1
        if not fits or encoder.inputs[0].shape[1] != self._stream.stride:
            raise ArtifactError("the file has other ports than its manifest has", hint="convert the run again")
        self._next_states, self._place = [given.index(name) for name in made], others[0]
        self._port = port = encoder.outputs[self._place]
        self._causal = CausalSteps(wiring, members, port) if wiring.causal else None
        self._ring = np.zeros((max(wiring.scene_ring, wiring.event_ring, 1), port.size), port.dtype)
        self._none: Scores = (np.zeros((0, 0)), np.zeros((0, 0)))
        if wiring.classifiers:
            strong, attention = members[wiring.classifiers].outputs
            self._none = np.zeros((0, strong.size), strong.dtype), np.zeros((0, attention.size), attention.dtype)
        self.reset()

    def reset(self) -> None:
        """Starts anew: every state at the integer that stands for 0."""
        log_mel, *states = self._encoder.inputs
        self._states = [port.zeros() for port in states]
        self._held = np.zeros((0, *log_mel.shape[2:]), log_mel.dtype)
        self._ring[:] = 0
        if self._causal is not None:
            self._causal.reset()
        self._steps = self._embeddings = self._known = 0

    def push(self, frames: np.ndarray) -> Iterator[Outputs]:
        """Takes log-mel frames [frames, mel_bands] in the encoder's input type; yields the outputs, step by step."""
        held = np.concatenate([self._held, frames.astype(self._held.dtype, casting="no")[..., None]])
        stride = self._stream.stride
        whole = len(held) // stride * stride
        self._held = held[whole:].copy()
        for first in range(0, whole, stride):
            made = self._encoder(held[None, first : first + stride], *self._states)
            self._states, embedding = [made[number] for number in self._next_states], made[self._place][0]
            self._steps += 1
            scenes, found = None, []
            if self._steps > self._stream.latency:
                self._ring[self._embeddings % len(self._ring)] = embedding
                self._embeddings += 1
                scenes, found = self._scenes(), self._events(embedding)
            yield Outputs(self._embeddings, scenes, *self._joined(found), embedding)

    def finish(self) -> Outputs:
        """The end of a recording: the scores of the embeddings that have none yet.

        A device that runs for ever never does this. The scenes have no end of their own.
        """
        if self._causal is not None:
            found = self._causal.finish()
        else:
            due = self._wiring.last_event_pass(self._embeddings, self._known)
            found = [self._pass(due)] if due else []
        return Outputs(self._embeddings, None, *self._joined(found))

    def _scenes(self) -> np.ndarray | None:
        ring = self._wiring.scene_ring
        since = self._embeddings - ring
        if not ring or since < 0 or since % self._stream.scene_hop:
            return None
        return self._members[self._wiring.scene_head](self._last(ring)[None])[0][0]

    def _events(self, embedding: np.ndarray) -> list[Scores]:
        if self._causal is not None:
            return self._causal.push(embedding)
        due = self._wiring.event_pass(self._embeddings, self._known)
        return [self._pass(due)] if due else []

    def _pass(self, due: Pass) -> Scores:
        kept = slice(due.kept_from - due.first, due.kept_to - due.first)
        self._known = due.kept_to
        ring = self._last(due.last - due.first)
        return two_way_pass(self._wiring, self._members, self._port, ring, kept)

    def _last(self, count: int) -> np.ndarray:
        """The newest embeddings [count, size], the oldest first."""
        return self._ring[np.arange(self._embeddings - count, self._embeddings) % len(self._ring)]

    def _joined(self, found: list[Scores]) -> Scores:
        if not found:
            return self._none
        strong, attention = (np.concatenate(each) for each in zip(*found, strict=True))
        return strong, attention
