"""How the artifacts of a streaming set work together: an encoder that goes step by step, and decoders behind rings.

Each step of the encoder gives one embedding. A ring keeps the newest. The scene decoder reads those of the last second,
every few steps. A bidirectional event decoder goes forward and backward over a longer ring, less often: of the answers
it keeps those in the middle, so that each has heard what was before it and what came after. A causal one keeps its
states and needs no ring.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from keras_mtl.errors import ArtifactError
from keras_mtl.tflite.stream_wiring import Stream
from keras_mtl.tflite.wiring import Wiring

#: The scene decoder reads the ring every so many steps: 0.2 s of `mt`.
SCENE_HOP = 5
#: This part of the events' ring, on either side, is heard for the sake of the rest only.
_SIDE = 25
_NO_STREAM = Stream(1, 0, 0, ())


@dataclass(frozen=True)
class Turn:
    """One time that the event decoder goes over its ring.

    Attributes:
        first, last: it hears the embeddings first <= k < last of the stream.
        kept_from, kept_to: and answers for these.
    """

    first: int
    last: int
    kept_from: int
    kept_to: int


@dataclass(frozen=True)
class StreamWiring(Wiring):
    """The wiring of a streaming set.

    `windows` and `clip_frames` say how much audio the decoders hear at a time: the rings hold as many embeddings.

    Attributes:
        stream: how the encoder is driven.
        scene_hop: steps from one call of the scene decoder to the next. The first is when its ring is full.
        event_hop: steps from one turn of a bidirectional event decoder to the next; 1 of a causal one.
    """

    stream: Stream = _NO_STREAM
    scene_hop: int = SCENE_HOP
    event_hop: int = 1

    @classmethod
    def of(
        cls, wiring: Wiring, stream: Stream, encoder: str, scene_hop: int = SCENE_HOP, event_hop: int | None = None
    ) -> StreamWiring:
        """The streaming set of the same decoders.

        Args:
            wiring: of the set that hears window by window.
            stream: of the encoder's step.
            encoder: its name among the members.
            scene_hop: steps from one call of the scene decoder to the next.
            event_hop: steps from one turn of a bidirectional event decoder to the next. By default the
                ring less a twenty-fifth of it at either end, so that a sound waits less than the ring is long.

        Raises:
            ArtifactError: a hop that is no step, or longer than the ring.
        """
        values = {name: getattr(wiring, name) for name in Wiring.__dataclass_fields__}
        made = cls(**{**values, "encoder": encoder, "stream": stream, "scene_hop": scene_hop})
        ring = made.event_ring
        hop = (ring - 2 * (ring // _SIDE) if ring else 1) if event_hop is None else event_hop
        if not 1 <= hop <= max(ring, 1) or scene_hop < 1:
            most = f"1 to {ring}" if ring else "1, since no event decoder goes over a ring"
            raise ArtifactError(
                f"a scene hop of {scene_hop} and an event hop of {hop} steps",
                hint=f"scenes: 1 or more steps; events: {most}",
            )
        return cls(**{**made.fields(), "event_hop": hop})

    @property
    def scene_ring(self) -> int:
        """Embeddings that the scene decoder hears at a time; 0 without one."""
        return self.windows.embeddings if self.scene_head else 0

    @property
    def event_ring(self) -> int:
        """Embeddings that a bidirectional event decoder hears at a time; 0 without one."""
        return 0 if self.causal else self.steps

    def fields(self) -> dict[str, Any]:
        """The values of all fields by name, as they are."""
        return {name: getattr(self, name) for name in self.__dataclass_fields__}

    def to_dict(self) -> dict[str, Any]:
        """As plain values, for JSON."""
        return {**super().to_dict(), "stream": self.stream.to_dict()}

    @classmethod
    def from_dict(cls, values: Any) -> StreamWiring:
        """Reads what `to_dict` wrote.

        Raises:
            ArtifactError: keys are missing or unknown, or of the wrong kind.
        """
        own = ("stream", "scene_hop", "event_hop")
        try:
            rest = Wiring.from_dict({key: value for key, value in values.items() if key not in own})
            hops, stream = (values["scene_hop"], values["event_hop"]), Stream.from_dict(values["stream"])
            sound = all(type(hop) is int for hop in hops)
        except (TypeError, KeyError, AttributeError):
            sound = False
        if not sound or stream.stride != rest.windows.stride:
            raise ArtifactError("the wiring of the streaming set can't be read", hint="convert the run again")
        return cls.of(rest, stream, rest.encoder, *hops)

    def calls_per_second(self, frame_rate: float) -> dict[str, float]:
        """How often each member runs for one second of audio."""
        steps = frame_rate / self.stream.stride
        turns = steps * self.event_ring / self.event_hop if self.event_ring else steps
        known = {self.encoder: steps, self.scene_head: steps / self.scene_hop, self.classifiers: steps}
        return {name: known.get(name, turns) for name in self.members}

    def buffer_bytes(self, embedding_bytes: int, state_bytes: int) -> dict[str, int]:
        """Bytes that a device keeps between invocations, beside the members' arenas and the encoder's states.

        Both decoders read one ring. Of a bidirectional last layer only the backward states are kept.

        Args:
            embedding_bytes: of one embedding.
            state_bytes: of one state of one direction.
        """
        kept = {"ring": max(self.scene_ring, self.event_ring, 1) * embedding_bytes}
        if not self.recurrent:
            return kept
        if not self.event_ring:
            return kept | {"running_states": len(self.recurrent) * state_bytes}
        for number, _ in enumerate(self.recurrent, start=1):
            directions = 1 if number == len(self.recurrent) else 2
            kept[f"states_{number}"] = self.event_ring * directions * state_bytes
        return kept | {"running_states": 2 * state_bytes}

    def turn(self, heard: int, answered: int) -> Turn | None:
        """The turn of the event decoder that is due.

        Args:
            heard: embeddings so far.
            answered: of the first so many the answers are known.
        """
        since = heard - self.event_ring
        if not self.event_ring or since < 0 or since % self.event_hop:
            return None
        return Turn(since, heard, answered, since + self._side + self.event_hop)

    def last_turn(self, heard: int, answered: int) -> Turn | None:
        """The turn for what is left when a recording ends; None where nothing is."""
        if not self.event_ring or answered >= heard:
            return None
        return Turn(max(0, heard - self.event_ring), heard, answered, heard)

    def turns(self, embeddings: int) -> Iterator[Turn]:
        """All turns over a recording that gives so many embeddings."""
        answered = 0
        for heard in range(1, embeddings + 1):
            if turn := self.turn(heard, answered):
                yield turn
                answered = turn.kept_to
        if turn := self.last_turn(embeddings, answered):
            yield turn

    def scene_calls(self, embeddings: int) -> list[int]:
        """How many embeddings were heard at each call of the scene decoder, over a recording of so many."""
        return list(range(self.scene_ring, embeddings + 1, self.scene_hop)) if self.scene_ring else []

    def kept(self) -> dict[str, int]:
        """Which answers of a full ring are kept: those of the embeddings kept_from <= k < kept_to of the ring."""
        return {"kept_from": self._side, "kept_to": self._side + self.event_hop}

    def waits(self) -> dict[str, int]:
        """The most steps that the beginning of an embedding waits until a decoder has answered for it.

        Of the scenes: until the decoder has heard it. The encoder's own latency is in it, filters behind the decoders
        are not.
        """
        found = {"scenes": self.scene_hop} if self.scene_ring else {}
        if self.recurrent:
            found["events"] = self.event_ring - self._side if self.event_ring else 1 + self.look_ahead
        return {task: steps + self.stream.latency for task, steps in found.items()}

    @property
    def _side(self) -> int:
        """Embeddings at the beginning of a ring whose answers are not kept."""
        return (self.event_ring - self.event_hop) // 2
