"""A streaming encoder on a device: log-mel in, in parts of any size, and embeddings out.

A driver keeps nothing but the states and the frames that do not fill a step yet. States stay integers.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from keras_mtl.core import ArtifactError
from keras_mtl.firmware_host.device.member import OpenMember
from keras_mtl.tflite.artifact import Port, Stream


class EncoderLoop:
    """Runs a streaming encoder over log-mel frames, step by step.

    Args:
        stream: how it is driven.
        member: the encoder, opened.

    Raises:
        ArtifactError: the file has other ports than the wiring.
    """

    def __init__(self, stream: Stream, member: OpenMember) -> None:
        self._stride, self._member = stream.stride, member
        taken, given = ([port.name for port in ports] for ports in (member.inputs, member.outputs))
        wanted, made = ([getattr(state, end) for state in stream.states] for end in ("taken", "given"))
        others = [number for number, name in enumerate(given) if name not in made]
        fits = taken[1:] == wanted and len(others) == 1 and len(given) == len(made) + 1
        if not fits or member.inputs[0].shape[1] != stream.stride:
            raise ArtifactError("the file has other ports than its manifest says", hint="convert the run again")
        self._log_mel, *self._states_taken = member.inputs
        self._given, self._embedding = [given.index(name) for name in made], others[0]
        self.reset()

    @property
    def embedding(self) -> Port:
        """The output that holds the embedding."""
        return self._member.outputs[self._embedding]

    def reset(self) -> None:
        """Starts anew: every state at the integer that stands for 0."""
        self._states = [port.zeros() for port in self._states_taken]
        self._held = np.zeros((0, *self._log_mel.shape[2:]), self._log_mel.dtype)

    def steps(self, frames: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Takes frames and runs the steps that they complete.

        Args:
            frames: log-mel [frames, mel_bands] in the file's input type.

        Yields:
            of each step its frames [stride, mel_bands] and the embedding [size], both in the file's types. The first
            `latency` steps after a start give embeddings of what was before it.
        """
        held = np.concatenate([self._held, frames.astype(self._held.dtype, casting="no")[..., None]])
        whole = len(held) // self._stride * self._stride
        self._held = held[whole:].copy()
        for first in range(0, whole, self._stride):
            step = held[first : first + self._stride]
            made = self._member(step[None], *self._states)
            self._states = [made[number] for number in self._given]
            yield step[..., 0], made[self._embedding][0]
