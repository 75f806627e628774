"""How the members of an artifact work together on a device: who feeds whom, when each runs, and what is kept.

An artifact of one file has the schedule `Clip`: one inference for each stretch of audio. A streaming artifact has the
schedule `Stream`: its encoder runs step by step, each step gives one embedding, and a ring keeps the newest. The scene
decoder reads the ring every few steps. A bidirectional event decoder goes forward and backward over it less often: of
its outputs those in the middle are kept, so that each has seen what was before it and what came after. A causal event
decoder keeps its states and needs no ring.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from typing import Annotated, Any

import msgspec

from keras_mtl.core import ArtifactError, read

#: The scene decoder reads the ring every so many steps: 0.2 s of `mt`.
SCENE_HOP = 5
#: This part of the events' ring, on either side, is read for the sake of the rest only.
_SIDE = 25
_AGAIN = "convert the run again"

_Name = Annotated[str, msgspec.Meta(min_length=1)]
_Count = Annotated[int, msgspec.Meta(ge=0)]
_Steps = Annotated[int, msgspec.Meta(ge=1)]


@dataclass(frozen=True)
class State:
    """What one layer of the encoder keeps from step to step.

    Attributes:
        layer: name of the layer that reads it.
        taken, given: names of the file's input and output.
        frames: frames of the layer's input that it holds.
    """

    layer: str
    taken: str
    given: str
    frames: int


@dataclass(frozen=True)
class Clip:
    """The schedule of an artifact that takes clips: one inference for each."""

    kind = "clip"


@dataclass(frozen=True)
class Stream:
    """The schedule of an artifact that takes a stream: step k of the encoder takes frames S k .. S k + S - 1.

    Step k gives the embedding k - `latency`: its last frames have to wait until all that they look at is there.

    Attributes:
        stride: log-mel frames of one step and of one embedding: S.
        latency: steps from the one that brings an embedding's last frame to the one that gives the embedding. As many
            steps after a start give embeddings of what was before it, which a driver drops.
        warm_up: so many embeddings after a start still look at what was before it. A network that takes a whole clip
            has zeros there in every layer; a stream has what the layers make of frames at the level 0. From then on
            both are the same.
        states: in the order of the layers. They begin with the integer that stands for 0.
        scene_hop: steps from one call of the scene decoder to the next. The first is when its ring is full.
        event_hop: steps from one pass of a bidirectional event decoder to the next; 1 of a causal one.
    """

    stride: _Steps
    latency: _Count
    warm_up: _Count
    states: tuple[State, ...] = ()
    scene_hop: int = SCENE_HOP
    event_hop: int = 1

    kind = "stream"

    def to_dict(self) -> dict[str, Any]:
        """The encoder's drive as plain values, for JSON; without the hops, which belong to the decoders."""
        values = asdict(self)
        return {key: values[key] for key in ("stride", "latency", "warm_up")} | {"states": list(values["states"])}

    @classmethod
    def from_dict(cls, values: Any) -> Stream:
        """Reads what `to_dict` wrote, and keys beside it that this version does not know.

        Raises:
            ArtifactError: keys are missing or of the wrong kind.
        """
        try:
            return msgspec.convert(values, cls)
        except msgspec.ValidationError:
            raise ArtifactError("the schedule of the stream can't be read", hint=_AGAIN) from None


@dataclass(frozen=True)
class Recurrent:
    """One recurrent layer.

    Attributes:
        forward, backward: names of its cells among the members. Each takes "input" and "state" and gives the next
            state, which is also the layer's output for that step. States begin with the integer that stands for 0. A
            layer without a backward cell (None) goes forwards only.
    """

    forward: _Name
    backward: _Name | None = None

    @property
    def cells(self) -> tuple[str, ...]:
        """Names of its cells: one, or two."""
        return (self.forward,) if self.backward is None else (self.forward, self.backward)


@dataclass(frozen=True)
class Pass:
    """One pass of a bidirectional event decoder over its ring.

    Attributes:
        first, last: it reads the embeddings first <= k < last of the stream.
        kept_from, kept_to: its outputs for these are kept.
    """

    first: int
    last: int
    kept_from: int
    kept_to: int


@dataclass(frozen=True)
class Wiring:
    """The wiring of an artifact.

    Attributes:
        schedule: when the members run.
        encoder: name of the first member: the whole network of an artifact of one file.
        scene_head: takes the newest `scene_ring` embeddings and gives the logits of the scenes. Empty without.
        recurrent: the event decoder's layers in order. A layer reads the embeddings, or the forward and the backward
            states of the layer before it, side by side. Either all of them are bidirectional, or none.
        classifiers: takes the states of the last layer, and gives probabilities "strong" and logits "attention" of the
            classes for each step. With w their softmax over the classes, a clip's probability is sum(strong w) / sum(w)
            over the steps. Empty without.
        shift: bits by which an embedding's integer, less its zero point, is shifted to the left to be the first
            cells' input; None where it is taken as it is.
        look_ahead: embeddings that a causal event decoder reads before it gives the output for one: what the
            classifiers give after embedding k + look_ahead is for embedding k. For the last ones of a recording it is
            what they gave last.
        scene_ring: embeddings that the scene decoder reads at a time; 0 without one.
        event_ring: embeddings that a bidirectional event decoder reads at a time; 0 without one.
    """

    schedule: Clip | Stream = Clip()
    encoder: _Name = "network"
    scene_head: str = ""
    recurrent: tuple[Recurrent, ...] = ()
    classifiers: str = ""
    shift: _Count | None = None
    look_ahead: _Count = 0
    scene_ring: _Count = 0
    event_ring: _Count = 0

    @property
    def streams(self) -> bool:
        """Whether the schedule is a stream."""
        return isinstance(self.schedule, Stream)

    @property
    def stream(self) -> Stream:
        """The schedule of a streaming artifact.

        Raises:
            ArtifactError: it takes clips.
        """
        if not isinstance(self.schedule, Stream):
            raise ArtifactError(
                "the artifact takes clips, and no stream", hint="keras_mtl convert RUN --schedule stream makes one"
            )
        return self.schedule

    @property
    def causal(self) -> bool:
        """Whether there is an event decoder that goes forwards only."""
        return bool(self.recurrent) and all(layer.backward is None for layer in self.recurrent)

    @property
    def members(self) -> tuple[str, ...]:
        """Names of all members, in the order in which they run."""
        cells = [name for layer in self.recurrent for name in layer.cells]
        return tuple(name for name in (self.encoder, self.scene_head, *cells, self.classifiers) if name)

    def to_dict(self) -> dict[str, Any]:
        """As plain values, for JSON."""
        values = asdict(self)
        if isinstance(self.schedule, Stream):
            hops = {"scene_hop": self.schedule.scene_hop, "event_hop": self.schedule.event_hop}
            values |= {"stream": self.schedule.to_dict(), **hops}
        return values | {"schedule": self.schedule.kind, "recurrent": list(values["recurrent"])}

    @classmethod
    def from_dict(cls, values: Any) -> Wiring:
        """Reads what `to_dict` wrote.

        Raises:
            ArtifactError: keys are missing or unknown, or of the wrong kind.
        """
        try:
            values = dict(values)
            kind, stream, _ = values.pop("schedule"), values.pop("stream", None), values["recurrent"]
            hops = msgspec.convert([values.pop(key, 1) for key in ("scene_hop", "event_hop")], list[_Count])
            wiring = read(cls, values, "wiring", ArtifactError)
        except (ArtifactError, msgspec.ValidationError, TypeError, ValueError, KeyError):
            raise _unreadable() from None
        sound = (
            kind == (Clip.kind if stream is None else Stream.kind)
            and len({layer.backward is None for layer in wiring.recurrent}) < 2
            and bool(wiring.recurrent) == bool(wiring.classifiers)
            and (wiring.causal or not wiring.look_ahead)
            and bool(wiring.scene_ring) == bool(wiring.scene_head)
            and bool(wiring.event_ring) == (bool(wiring.recurrent) and not wiring.causal)
        )
        if not sound:
            raise _unreadable()
        return wiring if stream is None else wiring.streaming(Stream.from_dict(stream), *hops)

    def streaming(self, stream: Stream, scene_hop: int = SCENE_HOP, event_hop: int | None = None) -> Wiring:
        """The same members with the schedule of a stream.

        Args:
            stream: how the encoder is driven.
            scene_hop: steps from one call of the scene decoder to the next.
            event_hop: steps from one pass of a bidirectional event decoder to the next. By default the ring less a
                twenty-fifth of it at either end, so that a sound waits less than the ring is long.

        Raises:
            ArtifactError: a hop that is no step, or longer than the ring.
        """
        ring = self.event_ring
        hop = (ring - 2 * (ring // _SIDE) if ring else 1) if event_hop is None else event_hop
        if not 1 <= hop <= max(ring, 1) or scene_hop < 1:
            most = f"1 to {ring}" if ring else "1, since no event decoder goes over a ring"
            raise ArtifactError(
                f"a scene hop of {scene_hop} and an event hop of {hop} steps",
                hint=f"scenes: 1 or more steps; events: {most}",
            )
        return replace(self, schedule=replace(stream, scene_hop=scene_hop, event_hop=hop))

    def calls_per_second(self, frame_rate_hz: float, audio_seconds: float = 1.0) -> dict[str, float]:
        """How often each member runs for one second of audio.

        Args:
            frame_rate_hz: log-mel frames of a second.
            audio_seconds: of one clip; for the schedule `Clip`.
        """
        if isinstance(self.schedule, Clip):
            return dict.fromkeys(self.members, 1 / audio_seconds)
        steps = frame_rate_hz / self.schedule.stride
        passes = steps * self.event_ring / self.schedule.event_hop if self.event_ring else steps
        known = {self.encoder: steps, self.scene_head: steps / self.schedule.scene_hop, self.classifiers: steps}
        return {name: known.get(name, passes) for name in self.members}

    def buffer_bytes(self, embedding_bytes: int, state_bytes: int) -> dict[str, int]:
        """Bytes that a device keeps between invocations, beside the members' arenas and the encoder's states.

        Both decoders read one ring. Of a bidirectional last layer only the backward states are kept: its forward
        states go into the classifiers one by one.

        Args:
            embedding_bytes: of one embedding.
            state_bytes: of one state of one direction.
        """
        if isinstance(self.schedule, Clip):
            return {}
        kept = {"ring": max(self.scene_ring, self.event_ring, 1) * embedding_bytes}
        if not self.recurrent:
            return kept
        if not self.event_ring:
            return kept | {"running_states": len(self.recurrent) * state_bytes}
        for number, _ in enumerate(self.recurrent, start=1):
            directions = 1 if number == len(self.recurrent) else 2
            kept[f"states_{number}"] = self.event_ring * directions * state_bytes
        return kept | {"running_states": 2 * state_bytes}

    def event_pass(self, embeddings: int, known: int) -> Pass | None:
        """The pass of the event decoder that is due.

        Args:
            embeddings: how many there are so far.
            known: for the first so many the outputs are known.
        """
        since = embeddings - self.event_ring
        if not self.event_ring or since < 0 or since % self.stream.event_hop:
            return None
        return Pass(since, embeddings, known, since + self._side + self.stream.event_hop)

    def last_event_pass(self, embeddings: int, known: int) -> Pass | None:
        """The pass for what is left when a recording ends; None where nothing is."""
        if not self.event_ring or known >= embeddings:
            return None
        return Pass(max(0, embeddings - self.event_ring), embeddings, known, embeddings)

    def event_passes(self, embeddings: int) -> Iterator[Pass]:
        """All passes over a recording that gives so many embeddings."""
        known = 0
        for number in range(1, embeddings + 1):
            if due := self.event_pass(number, known):
                yield due
                known = due.kept_to
        if due := self.last_event_pass(embeddings, known):
            yield due

    def scene_calls(self, embeddings: int) -> list[int]:
        """How many embeddings there were at each call of the scene decoder, over a recording of so many."""
        return list(range(self.scene_ring, embeddings + 1, self.stream.scene_hop)) if self.scene_ring else []

    def kept(self) -> dict[str, int]:
        """Which outputs of a full ring are kept: those of the embeddings kept_from <= k < kept_to of the ring."""
        return {"kept_from": self._side, "kept_to": self._side + self.stream.event_hop}

    def latency_steps(self) -> dict[str, int]:
        """The most steps that the beginning of an embedding waits for each task's output.

        Of the scenes: until the decoder has read it. The encoder's own latency is in it, filters behind the decoders
        are not.
        """
        found = {"scenes": self.stream.scene_hop} if self.scene_ring else {}
        if self.recurrent:
            found["events"] = self.event_ring - self._side if self.event_ring else 1 + self.look_ahead
        return {task: steps + self.stream.latency for task, steps in found.items()}

    @property
    def _side(self) -> int:
        """Embeddings at the beginning of a ring whose outputs are not kept."""
        return (self.event_ring - self.stream.event_hop) // 2


def _unreadable() -> ArtifactError:
    return ArtifactError("the wiring of the artifact can't be read", hint=_AGAIN)
