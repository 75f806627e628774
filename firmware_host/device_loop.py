"""What a device does with a set of artifacts: runs the members in their order and keeps what they need of each other.

Only integers move between the members, by the rules of the set's wiring. The firmware's driver does the same in C.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from keras_mtl.tflite.wiring import Recurrent, Wiring


@dataclass(frozen=True)
class Member:
    """One artifact of a set, opened.

    Attributes:
        invoke: one inference: an array for each input, with the batch dimension, to one for each output.
        inputs: its input ports as in the artifact's manifest (dtype, shape, scale, zero_point), in the file's order.
        outputs: its output ports.
    """

    invoke: Callable[[list[np.ndarray]], list[np.ndarray]]
    inputs: list[dict[str, Any]]
    outputs: list[dict[str, Any]]


class DeviceLoop:
    """Hears clips by a set of artifacts.

    Args:
        wiring: how the members work together.
        members: each member by its name.
    """

    def __init__(self, wiring: Wiring, members: Mapping[str, Member]) -> None:
        self._wiring, self._members = wiring, members

    def scenes(self, second: np.ndarray) -> np.ndarray:
        """Log-mel of one window [frames, mel_bands, 1], in the encoder's type, to logits [scenes] as integers."""
        (embeddings,) = self._run(self._wiring.encoder, second[None])
        return self._run(self._wiring.scene_head, embeddings)[0][0]

    def events(self, clip: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Log-mel of a clip [frames, mel_bands, 1], in the encoder's type, to what is heard in each step.

        Returns:
            Probabilities "strong" and logits "attention", integers [steps, events].
        """
        return self.decoded(self.embeddings(clip))

    def decoded(self, embeddings: np.ndarray, kept: slice = slice(None)) -> tuple[np.ndarray, np.ndarray]:
        """What is heard in each step of a clip by a bidirectional event decoder.

        Args:
            embeddings: of the clip [steps, size], in the encoder's type.
            kept: the steps whose answers are wanted.

        Returns:
            As `events`, of the steps that are kept.
        """
        steps = self._bridged(embeddings)
        for layer in self._wiring.recurrent:
            steps = self._layer(layer, steps)
        found = [self._run(self._wiring.classifiers, step[None]) for step in steps[kept]]
        strong, attention = (np.concatenate(each) for each in zip(*found, strict=True))
        return strong, attention

    def embeddings(self, clip: np.ndarray) -> np.ndarray:
        """Log-mel of a clip [frames, mel_bands, 1] to its embeddings [steps, size], heard window by window."""
        windows, found = self._wiring.windows, []
        for start, first, last in windows.over(len(clip)):
            (heard,) = self._run(self._wiring.encoder, clip[None, start : start + windows.frames])
            found.append(heard[0, first:last])
        return np.concatenate(found)

    def _bridged(self, embeddings: np.ndarray) -> np.ndarray:
        """Embeddings as the first cells take them: 8 bits become 16 without a loss."""
        if self._wiring.shift is None:
            return embeddings
        port = self._members[self._wiring.encoder].outputs[0]
        wide = (embeddings.astype(np.int32) - port["zero_point"]) << self._wiring.shift
        return wide.astype(self._members[self._wiring.recurrent[0].forward].inputs[0]["dtype"])

    def _layer(self, layer: Recurrent, steps: np.ndarray) -> np.ndarray:
        """Inputs of all steps to the forward and the backward states, side by side."""
        forward = self._states(layer.forward, steps)
        backward = self._states(layer.backward, steps[::-1])[::-1]
        return np.concatenate([forward, backward], axis=1)

    def _states(self, name: str, steps: np.ndarray) -> np.ndarray:
        port = self._members[name].inputs[1]
        state, states = np.full(port["shape"], port["zero_point"], port["dtype"]), []
        for step in steps:
            (state,) = self._run(name, step[None], state)
            states.append(state[0])
        return np.stack(states)

    def _run(self, name: str, *given: np.ndarray) -> list[np.ndarray]:
        return self._members[name].invoke([np.ascontiguousarray(values) for values in given])
