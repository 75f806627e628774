"""The event decoder on a device: a causal one step by step, a bidirectional one pass by pass over its ring."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from keras_mtl.firmware_host.device.member import OpenMember
from keras_mtl.tflite.artifact import Port, Wiring

#: Probabilities "strong" and logits "attention" of the classes, integers [steps, events].
Scores = tuple[np.ndarray, np.ndarray]


class CausalSteps:
    """Steps a causal event decoder through all its layers as each embedding comes, in constant memory.

    Args:
        embedding: the encoder's output that holds the embedding.
    """

    def __init__(self, wiring: Wiring, members: Mapping[str, OpenMember], embedding: Port) -> None:
        self._wiring, self._members, self._embedding = wiring, members, embedding
        self.reset()

    def reset(self) -> None:
        """Starts anew: states of 0, and no embeddings."""
        self._states = [self._members[layer.forward].inputs[1].zeros() for layer in self._wiring.recurrent]
        self._embeddings = 0

    def push(self, embedding: np.ndarray) -> list[Scores]:
        """Takes one embedding [size], as the encoder gives it.

        Returns:
            Nothing for the first `look_ahead` of them; then the scores [1, events] of the embedding that came
            `look_ahead` before this one.
        """
        x = widened(self._wiring, self._members, self._embedding, embedding[None])
        for number, layer in enumerate(self._wiring.recurrent):
            (x,) = self._members[layer.forward](x, self._states[number])
            self._states[number] = x
        self._embeddings += 1
        return [self._classified()] if self._embeddings > self._wiring.look_ahead else []

    def finish(self) -> list[Scores]:
        """The end of a recording: the scores of the last `look_ahead` embeddings, all of them of the last states."""
        left = min(self._wiring.look_ahead, self._embeddings)
        return [self._classified()] * left if left else []

    def _classified(self) -> Scores:
        strong, attention = self._members[self._wiring.classifiers](self._states[-1])
        return strong, attention


def two_way_pass(
    wiring: Wiring, members: Mapping[str, OpenMember], embedding: Port, embeddings: np.ndarray, kept: slice
) -> Scores:
    """One pass of a bidirectional event decoder.

    `embedding`: the encoder's output that holds the embedding. `embeddings`: [steps, size], as the encoder gives them.
    `kept`: the steps whose scores are wanted.
    """
    steps = widened(wiring, members, embedding, embeddings)
    for layer in wiring.recurrent:
        assert layer.backward is not None  # a wiring has both directions in all layers or in none
        forward = _states(members[layer.forward], steps)
        backward = _states(members[layer.backward], steps[::-1])[::-1]
        steps = np.concatenate([forward, backward], axis=1)
    found = [members[wiring.classifiers](step[None]) for step in steps[kept]]
    strong, attention = (np.concatenate(each) for each in zip(*found, strict=True))
    return strong, attention


def widened(wiring: Wiring, members: Mapping[str, OpenMember], embedding: Port, embeddings: np.ndarray) -> np.ndarray:
    """Embeddings [steps, size] as the first cells take them: 8 bits become 16 without a loss."""
    if wiring.shift is None:
        return embeddings
    wide = (embeddings.astype(np.int32) - embedding.zero) << wiring.shift
    return wide.astype(members[wiring.recurrent[0].forward].inputs[0].dtype)


def _states(cell: OpenMember, steps: np.ndarray) -> np.ndarray:
    """The states of one direction [steps, units], from a start on."""
    state, states = cell.inputs[1].zeros(), []
    for step in steps:
        (state,) = cell(step[None], state)
        states.append(state[0])
    return np.stack(states)
