"""How a device runs a streaming encoder: what one step takes and gives, and which of its embeddings mean what.

Step k takes the log-mel frames S k .. S k + S - 1 and the states, and gives one embedding and the next states. That
embedding is number k - `latency` of the stream: its last frames have to wait until all that they look at is there.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from keras_mtl.errors import ArtifactError


@dataclass(frozen=True)
class State:
    """What one layer keeps from step to step.

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
class Stream:
    """The wiring of a streaming encoder.

    Attributes:
        stride: log-mel frames of one step and of one embedding.
        latency: steps from the one that brings an embedding's last frame to the one that gives the embedding. As many
            steps after a start give embeddings of what was before it, which a driver drops.
        warm_up: so many embeddings after a start still look at what was before it. A network that hears a clip at once
            has zeros there in every layer; a stream has what the layers make of frames at the level 0. From then on
            both are the same.
        states: in the order of the layers. They begin with the integer that stands for 0.
    """

    stride: int
    latency: int
    warm_up: int
    states: tuple[State, ...]

    def to_dict(self) -> dict[str, Any]:
        """As plain values, for JSON."""
        return {**asdict(self), "states": [asdict(state) for state in self.states]}

    @classmethod
    def from_dict(cls, values: Any) -> Stream:
        """Reads what `to_dict` wrote, and keys beside it that this version does not know.

        Raises:
            ArtifactError: keys are missing or of the wrong kind.
        """
        try:
            numbers = [values[key] for key in ("stride", "latency", "warm_up")]
            states = tuple(State(*(each[key] for key in State.__dataclass_fields__)) for each in values["states"])
            sound = all(type(number) is int for number in numbers) and numbers[0] > 0 <= min(numbers[1:])
            sound = sound and all(isinstance(state.taken, str) and isinstance(state.given, str) for state in states)
        except (TypeError, KeyError):
            sound = False
        if not sound:
            raise ArtifactError("the wiring of the stream can't be read", hint="convert the run again")
        return cls(numbers[0], numbers[1], numbers[2], states)
