"""What a device does with a streaming encoder: log-mel or samples in, in parts of any size, and embeddings out.

A driver keeps nothing but the states and the frames that do not fill a step yet. States stay integers. The firmware's
driver does the same in C.
"""

from __future__ import annotations

import numpy as np

from keras_mtl.errors import ArtifactError
from keras_mtl.features import LogMelSettings
from keras_mtl.firmware_host.device_loop import Member
from keras_mtl.firmware_host.stream_levels import LevelStream
from keras_mtl.tflite.artifact import quantize
from keras_mtl.tflite.stream_wiring import Stream


class StreamLoop:
    """Hears log-mel frames by a streaming encoder.

    Args:
        stream: how it is driven, of the artifact's manifest.
        member: the artifact, opened.

    Raises:
        ArtifactError: the file has other ports than the wiring.
    """

    def __init__(self, stream: Stream, member: Member) -> None:
        self._stream, self._member = stream, member
        taken, given = ([port["name"] for port in ports] for ports in (member.inputs, member.outputs))
        wanted, made = ([getattr(state, end) for state in stream.states] for end in ("taken", "given"))
        others = [number for number, name in enumerate(given) if name not in made]
        fits = taken[1:] == wanted and len(others) == 1 and len(given) == len(made) + 1
        if not fits or member.inputs[0]["shape"][1] != stream.stride:
            raise ArtifactError("the file has other ports than its manifest says", hint="convert the run again")
        self._log_mel, *self._states_taken = member.inputs
        self._given, self._embedding = [given.index(name) for name in made], others[0]
        self.reset()

    def reset(self) -> None:
        """Starts anew: every state at the integer that stands for 0."""
        self._states = [np.full(port["shape"], port["zero_point"] or 0, port["dtype"]) for port in self._states_taken]
        self._held = np.zeros((0, *self._log_mel["shape"][2:]), self._log_mel["dtype"])
        self._steps = 0

    def push(self, frames: np.ndarray) -> np.ndarray:
        """Takes frames and gives the embeddings that they complete.

        Args:
            frames: log-mel [frames, mel_bands] in the file's input type.

        Returns:
            The next embeddings [n, size] in the file's type. The first that ever comes is that of the frames 0 to
            stride - 1; those of what was before the start are dropped.
        """
        held = np.concatenate([self._held, frames.astype(self._held.dtype, casting="no")[..., None]])
        stride = self._stream.stride
        whole = len(held) // stride * stride
        self._held = held[whole:].copy()
        found = [self._step(held[first : first + stride]) for first in range(0, whole, stride)]
        port = self._member.outputs[self._embedding]
        late = max(0, min(len(found), self._stream.latency + len(found) - self._steps))
        return np.array(found[late:], port["dtype"]).reshape(-1, port["shape"][-1])

    def _step(self, frames: np.ndarray) -> np.ndarray:
        made = self._member.invoke([np.ascontiguousarray(frames[None]), *self._states])
        self._states = [np.asarray(made[number]).copy() for number in self._given]
        self._steps += 1
        return np.asarray(made[self._embedding])[0].copy()


class SampleLoop:
    """Hears samples by a streaming encoder.

    Args:
        settings: the artifact's features.
        stream: how it is driven.
        member: the artifact, opened.
    """

    def __init__(self, settings: LogMelSettings, stream: Stream, member: Member) -> None:
        self._levels, self._loop, self._port = LevelStream(settings), StreamLoop(stream, member), member.inputs[0]

    def reset(self) -> None:
        """Starts anew."""
        self._levels.reset()
        self._loop.reset()

    def push(self, samples: np.ndarray) -> np.ndarray:
        """Takes samples [samples], float in [-1, 1] or int16, and gives the embeddings that they complete [n, size]."""
        return self._loop.push(quantize(self._levels.push(samples), self._port))
