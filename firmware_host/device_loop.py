"""What a device does with a set of artifacts: runs the members in their order and keeps what they need of each other.

Only integers move between the members, by the rules of the set's wiring. The firmware's driver does the same in C.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from keras_mtl.firmware_host.forward_steps import ForwardSteps, widened
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
        if self._wiring.causal:
            return self._as_they_come(clip)
        return self.decoded(self.embeddings(clip))

    def decoded(self, embeddings: np.ndarray, kept: slice = slice(None)) -> tuple[np.ndarray, np.ndarray]:
        """What is heard in each step of a clip by a bidirectional event decoder.

        Args:
            embeddings: of the clip [steps, size], in the encoder's type.
            kept: the steps whose answers are wanted.

        Returns:
            As `events`, of the steps that are kept.
        """
        steps = widened(self._wiring, self._members, embeddings)
        for layer in self._wiring.recurrent:
            steps = self._layer(layer, steps)
        return _stacked([self._run(self._wiring.classifiers, step[None]) for step in steps[kept]])

    def embeddings(self, clip: np.ndarray) -> np.ndarray:
        """Log-mel of a clip [frames, mel_bands, 1] to its embeddings [steps, size], heard window by window."""
        return np.concatenate(list(self._window_by_window(clip)))

    def _window_by_window(self, clip: np.ndarray) -> Iterator[np.ndarray]:
        windows = self._wiring.windows
        for start, first, last in windows.over(len(clip)):
            (heard,) = self._run(self._wiring.encoder, clip[None, start : start + windows.frames])
            yield heard[0, first:last]

    def _as_they_come(self, clip: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """A causal decoder: nothing of the clip is kept but one window's embeddings and the states."""
        decoder = ForwardSteps(self._wiring, self._members)
        found = [said for heard in self._window_by_window(clip) for each in heard for said in decoder.push(each)]
        return _stacked(found + decoder.finish())

    def _layer(self, layer: Recurrent, steps: np.ndarray) -> np.ndarray:
        """Inputs of all steps to the forward and the backward states, side by side."""
        assert layer.backward is not None  # a wiring has both directions in all layers or in none
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


def _stacked(found: list[list[np.ndarray]]) -> tuple[np.ndarray, np.ndarray]:
    strong, attention = (np.concatenate(each) for each in zip(*found, strict=True))
    return strong, attention
