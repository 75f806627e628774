"""What a device does with a streaming set: log-mel in, in parts of any size; answers of both decoders out.

A driver keeps the encoder's states, one ring of embeddings that both decoders read, and the cells' states. Only
integers move between the members. All that is due follows from how many embeddings came, so that the sizes of the parts
change nothing. The firmware's driver does the same in C.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np

from keras_mtl.firmware_host.device_loop import DeviceLoop, Member
from keras_mtl.firmware_host.forward_steps import ForwardSteps
from keras_mtl.firmware_host.stream_loop import StreamLoop
from keras_mtl.tflite.stream_set_wiring import StreamWiring, Turn


@dataclass(frozen=True, eq=False)
class Answers:
    """What the decoders said of the audio that came.

    Attributes:
        scenes: of each call of the scene decoder how many embeddings were heard by then, and logits [scenes] as
            integers.
        strong: probabilities [embeddings, events] as integers, those that follow on the last ones given.
        attention: of the same embeddings the logits of the attention, from which a clip's probability is made.
    """

    scenes: list[tuple[int, np.ndarray]]
    strong: np.ndarray
    attention: np.ndarray


class StreamSetLoop:
    """Hears log-mel frames by a streaming set, from a start on.

    Args:
        wiring: how the members work together.
        members: each member by its name, opened.

    Raises:
        ArtifactError: the encoder has other ports than the wiring.
    """

    def __init__(self, wiring: StreamWiring, members: Mapping[str, Member]) -> None:
        self._wiring, self._members = wiring, members
        encoder = members[wiring.encoder]
        self._encoder = StreamLoop(wiring.stream, encoder)
        given = {state.given for state in wiring.stream.states}
        (embedding,) = (port for port in encoder.outputs if port["name"] not in given)
        # The decoders know the encoder by what it says, which is the embedding alone.
        self._decoders = {**members, wiring.encoder: replace(encoder, outputs=[embedding])}
        self._clip = DeviceLoop(wiring, self._decoders)
        self._forward = ForwardSteps(wiring, self._decoders) if wiring.causal else None
        size = max(wiring.scene_ring, wiring.event_ring, 1)
        self._ring = np.zeros((size, embedding["shape"][-1]), embedding["dtype"])
        self.reset()

    @property
    def embeddings(self) -> int:
        """Embeddings since the start."""
        return self._heard

    def reset(self) -> None:
        """Starts anew."""
        self._encoder.reset()
        self._ring[:] = 0
        if self._forward is not None:
            self._forward.begin()
        self._heard = self._answered = 0

    def push(self, frames: np.ndarray) -> Answers:
        """Takes log-mel frames [frames, mel_bands] in the encoder's input type; gives what became known by them."""
        answers = list(self.steps(frames))
        scenes = [call for each in answers for call in each.scenes]
        return self._answers(scenes, [(each.strong, each.attention) for each in answers])

    def steps(self, frames: np.ndarray) -> Iterator[Answers]:
        """The same embedding by embedding: what became known by each, `embeddings` of them having been heard."""
        wiring = self._wiring
        for embedding in self._encoder.push(frames):
            self._ring[self._heard % len(self._ring)] = embedding
            self._heard += 1
            scenes, said = [], []
            if wiring.scene_ring and self._heard >= wiring.scene_ring and self._is_scene_turn():
                ring = self._last(wiring.scene_ring)[None]
                scenes.append((self._heard, self._members[wiring.scene_head].invoke([ring])[0][0].copy()))
            if self._forward is not None:
                said += _copies(self._forward.push(embedding))
            elif turn := wiring.turn(self._heard, self._answered):
                said.append(self._events(turn))
            yield self._answers(scenes, said)

    def finish(self) -> Answers:
        """The end of a recording: what the event decoder says of the embeddings that it did not answer for yet.

        A device that hears for ever never does this. The scenes have no end of their own.
        """
        if self._forward is not None:
            return self._answers([], _copies(self._forward.finish()))
        turn = self._wiring.last_turn(self._heard, self._answered)
        return self._answers([], [self._events(turn)] if turn else [])

    def _is_scene_turn(self) -> bool:
        return (self._heard - self._wiring.scene_ring) % self._wiring.scene_hop == 0

    def _events(self, turn: Turn) -> tuple[np.ndarray, np.ndarray]:
        kept = slice(turn.kept_from - turn.first, turn.kept_to - turn.first)
        self._answered = turn.kept_to
        return self._clip.decoded(self._last(turn.last - turn.first), kept)

    def _last(self, count: int) -> np.ndarray:
        """The newest embeddings [count, size], the oldest first."""
        return self._ring[np.arange(self._heard - count, self._heard) % len(self._ring)]

    def _answers(self, scenes: list[tuple[int, np.ndarray]], said: list[tuple[np.ndarray, np.ndarray]]) -> Answers:
        if said:
            strong, attention = (np.concatenate(each) for each in zip(*said, strict=True))
            return Answers(scenes, strong, attention)
        if not self._wiring.classifiers:
            return Answers(scenes, np.zeros((0, 0)), np.zeros((0, 0)))
        ports = self._members[self._wiring.classifiers].outputs
        strong, attention = (np.zeros((0, port["shape"][-1]), port["dtype"]) for port in ports)
        return Answers(scenes, strong, attention)


def _copies(pairs: list[list[np.ndarray]]) -> list[tuple[np.ndarray, np.ndarray]]:
    """What the classifiers gave, kept from their next call."""
    return [(strong.copy(), attention.copy()) for strong, attention in pairs]
