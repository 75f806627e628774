"""Steps a causal event decoder through all its layers as each embedding comes, in constant memory.

Only integers move between the members, by the rules of the set's wiring.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from keras_mtl.tflite.wiring import Wiring

if TYPE_CHECKING:
    from keras_mtl.firmware_host.device_loop import Member


class ForwardSteps:
    """Hears embeddings one by one, from a start on.

    Args:
        wiring: of a set whose event decoder is causal.
        members: cells, classifiers and the encoder, by their names.
    """

    def __init__(self, wiring: Wiring, members: Mapping[str, Member]) -> None:
        self._wiring, self._members = wiring, members
        self.begin()

    def begin(self) -> None:
        """Begins anew: states of 0, and nothing heard."""
        self._states: list[np.ndarray] = []
        for layer in self._wiring.recurrent:
            port = self._members[layer.forward].inputs[1]
            self._states.append(np.full(port["shape"], port["zero_point"], port["dtype"]))
        self._heard = 0

    def push(self, embedding: np.ndarray) -> list[list[np.ndarray]]:
        """Hears one embedding [size], as the encoder gives it.

        Returns:
            Nothing for the first `look_ahead` of them; then one pair of integers: probabilities "strong" and logits
            "attention" [1, events], of the embedding that came `look_ahead` before this one.
        """
        x = widened(self._wiring, self._members, embedding[None])
        for number, layer in enumerate(self._wiring.recurrent):
            (x,) = self._members[layer.forward].invoke([np.ascontiguousarray(x), self._states[number]])
            self._states[number] = x
        self._heard += 1
        return [self._classified()] if self._heard > self._wiring.look_ahead else []

    def finish(self) -> list[list[np.ndarray]]:
        """The end of a clip: the pairs of the last `look_ahead` embeddings, all of them read off the last states."""
        left = min(self._wiring.look_ahead, self._heard)
        return [self._classified()] * left if left else []

    def _classified(self) -> list[np.ndarray]:
        return self._members[self._wiring.classifiers].invoke([self._states[-1]])


def widened(wiring: Wiring, members: Mapping[str, Member], embeddings: np.ndarray) -> np.ndarray:
    """Embeddings [steps, size] as the first cells take them: 8 bits become 16 without a loss."""
    if wiring.shift is None:
        return embeddings
    port = members[wiring.encoder].outputs[0]
    wide = (embeddings.astype(np.int32) - port["zero_point"]) << wiring.shift
    return wide.astype(members[wiring.recurrent[0].forward].inputs[0]["dtype"])
