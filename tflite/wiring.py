"""How the artifacts of a set work together on a device: who feeds whom, in what order, and what must be kept.

The encoder hears windows of log-mel. Of each window only the embeddings whose whole field of view lies inside it are
kept, so that a clip heard window by window has exactly the embeddings of the clip heard at once; windows overlap by
what is dropped. The event decoder steps its cells over the buffered embeddings, forward and backward, layer by layer; a
causal one steps through all its layers as each embedding comes, and buffers none. The scene decoder takes the
embeddings of one window, all of them, as a clip of that length.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from keras_mtl.errors import ArtifactError


@dataclass(frozen=True)
class Windows:
    """How the encoder goes over a clip.

    Attributes:
        frames: log-mel frames of one window: the encoder's input.
        stride: log-mel frames of one embedding.
        first, last: embeddings first <= k < last of a window see nothing but the window.
    """

    frames: int
    stride: int
    first: int
    last: int

    @property
    def hop(self) -> int:
        """Frames from one window to the next."""
        return (self.last - self.first) * self.stride

    @property
    def embeddings(self) -> int:
        """Embeddings of one window."""
        return self.frames // self.stride

    def over(self, frames: int) -> Iterator[tuple[int, int, int]]:
        """The windows of a clip: (first frame, first and last embedding of the window that are kept).

        At the clip's own ends the windows' borders are the clip's, so nothing is dropped there. Embedding k of a window
        at frame f is the clip's number f / stride + k.

        Args:
            frames: of the clip: a multiple of the stride, and at least one window.
        """
        start, done = 0, 0
        while done < frames // self.stride:
            at = min(start, frames - self.frames)
            end = self.embeddings if at + self.frames == frames else self.last
            yield at, done - at // self.stride, end
            start, done = start + self.hop, at // self.stride + end


@dataclass(frozen=True)
class Recurrent:
    """One recurrent layer.

    Attributes:
        forward, backward: names of its cells among the members. Each takes "input" and "state" and gives the next
            state, which is also what the layer gives for that step. States begin with the integer that stands for 0.
            A layer without a backward cell (None) hears forwards only.
    """

    forward: str
    backward: str | None = None

    @property
    def cells(self) -> tuple[str, ...]:
        """Names of its cells: one, or two."""
        return (self.forward,) if self.backward is None else (self.forward, self.backward)


@dataclass(frozen=True)
class Wiring:
    """The wiring of a set.

    Attributes:
        windows: how the encoder goes over a clip.
        clip_frames: log-mel frames that the event decoder hears at a time; 0 without one.
        recurrent: its layers in order. A layer reads the embeddings, or the forward and the backward states of the
            layer before it, side by side. Either all of them are bidirectional, or none.
        shift: bits by which an embedding's integer, less its zero point, is shifted to the left to be the first
            cells' input; None where it is taken as it is.
        encoder: name of the encoder among the members.
        classifiers: takes the states of the last layer, and gives probabilities "strong" and logits "attention" of the
            classes for each step. With w their softmax over the classes, a clip's probability is sum(strong w) / sum(w)
            over the steps. Empty without.
        scene_head: takes the embeddings of a window and gives the logits of the scenes. Empty without.
        look_ahead: embeddings that a causal event decoder hears before it answers for one: what the classifiers give
            after embedding k + look_ahead is for embedding k. For the last ones of a clip it is what they gave last.
    """

    windows: Windows
    clip_frames: int = 0
    recurrent: tuple[Recurrent, ...] = ()
    shift: int | None = None
    encoder: str = "encoder"
    classifiers: str = ""
    scene_head: str = ""
    look_ahead: int = 0

    @property
    def causal(self) -> bool:
        """Whether there is an event decoder, and it hears forwards only."""
        return bool(self.recurrent) and all(layer.backward is None for layer in self.recurrent)

    @property
    def members(self) -> tuple[str, ...]:
        """Names of all members, in the order in which they run."""
        cells = [name for layer in self.recurrent for name in layer.cells]
        return tuple(name for name in (self.encoder, self.scene_head, *cells, self.classifiers) if name)

    @property
    def steps(self) -> int:
        """Embeddings of a clip of events."""
        return self.clip_frames // self.windows.stride

    def to_dict(self) -> dict[str, Any]:
        """As plain values, for JSON."""
        return {**asdict(self), "recurrent": [asdict(layer) for layer in self.recurrent]}

    @classmethod
    def from_dict(cls, values: Any) -> Wiring:
        """Reads what `to_dict` wrote.

        Raises:
            ArtifactError: keys are missing or unknown, or of the wrong kind.
        """
        try:
            windows = Windows(**{key: int(value) for key, value in values["windows"].items()})
            recurrent = tuple(Recurrent(**layer) for layer in values["recurrent"])
            wiring = cls(**{**values, "windows": windows, "recurrent": recurrent})
            whole = (wiring.clip_frames, wiring.shift or 0, windows.stride, wiring.look_ahead)
            sound = all(isinstance(name, str) for name in wiring.members) and all(isinstance(n, int) for n in whole)
            sound = sound and (wiring.causal or all(layer.backward is not None for layer in recurrent))
            sound = sound and (wiring.look_ahead >= 0 if wiring.causal else wiring.look_ahead == 0)
            sound = sound and windows.frames > 0 and windows.stride > 0 and wiring.clip_frames >= 0
            sound = sound and 0 <= windows.first < windows.last <= windows.embeddings
            # Else the last window of a clip begins within an embedding, and `over` would never come to the end.
            sound = sound and not (wiring.clip_frames and (wiring.clip_frames - windows.frames) % windows.stride)
        except (TypeError, ValueError, KeyError, AttributeError, ZeroDivisionError):
            sound = False
        if not sound or (wiring.clip_frames and wiring.clip_frames < windows.frames):
            raise ArtifactError("the wiring of the set can't be read", hint="convert the run again")
        return wiring

    def calls_per_second(self, frame_rate: float) -> dict[str, float]:
        """How often each member runs for one second of audio, heard continuously."""
        windows, steps = frame_rate / self.windows.hop, frame_rate / self.windows.stride
        once = {self.encoder: windows, self.scene_head: windows}
        return {name: once.get(name, steps) for name in self.members}

    def buffer_bytes(self, embedding_bytes: int, state_bytes: int) -> dict[str, int]:
        """Bytes that a device keeps between invocations, beside the members' arenas.

        Of the last layer only the backward states are kept: its forward states go into the classifiers one by one. A
        causal decoder keeps the embeddings of a window until it has stepped through them, and one state of each layer.

        Args:
            embedding_bytes: of one embedding.
            state_bytes: of one state of one direction.
        """
        if self.causal:
            window = self.windows.embeddings * embedding_bytes
            return {"embeddings": window, "running_states": len(self.recurrent) * state_bytes}
        kept = {"embeddings": (self.steps or self.windows.embeddings) * embedding_bytes}
        for number, _ in enumerate(self.recurrent, start=1):
            directions = 1 if number == len(self.recurrent) else 2
            kept[f"states_{number}"] = self.steps * directions * state_bytes
        if self.recurrent:
            kept["running_states"] = 2 * state_bytes
        return kept
