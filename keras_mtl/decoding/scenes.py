"""A scene that does not flicker: softmax of the scene head's logits, exponential mean, and a hold before a change.

The C scene smoother of a firmware bundle does the same to a network's integers.
"""

from __future__ import annotations

import numpy as np


class SceneSmoother:
    """Smooths the scene scores of a stream, one call of the scene head after the other.

    Args:
        classes: number of scenes.
        weight: weight of the newest probabilities in the exponential mean, above 0 and up to 1; 1 is no mean. After n
            calls an old score counts (1 - weight)^n of what it did.
        hold: calls in a row for which another scene must have the largest mean before it is believed; 1 is at once.

    Raises:
        ValueError: a weight or a hold out of range.

    Example:
        >>> smoother = SceneSmoother(2, weight=1.0, hold=2)
        >>> [smoother.push(np.array(logits)) for logits in ([3.0, 0.0], [0.0, 3.0], [0.0, 3.0])]
        [0, 0, 1]
    """

    def __init__(self, classes: int, weight: float, hold: int) -> None:
        if not 0.0 < weight <= 1.0 or hold < 1:
            raise ValueError(f"weight {weight} must be above 0 and up to 1, and hold {hold} at least 1")
        self._classes, self._weight, self._hold = classes, np.float32(weight), hold
        self.reset()

    def reset(self) -> None:
        """Begins anew, with no scene."""
        #: The mean probabilities, float32 [classes].
        self.scores = np.zeros(self._classes, np.float32)
        #: The scene that is believed; None before the first call.
        self.scene: int | None = None
        self._candidate, self._times = -1, 0

    def push(self, logits: np.ndarray) -> int:
        """Takes the real logits of one call [classes]; gives the scene that is believed, the first call's best at once.

        Of two equal scores the first class has it.
        """
        logits = np.asarray(logits, np.float32)
        raised = np.exp(logits - logits.max())
        weight = np.float32(1.0) if self.scene is None else self._weight
        self.scores += weight * (raised / raised.sum(dtype=np.float32) - self.scores)
        best = int(self.scores.argmax())
        if best != self._candidate:
            self._candidate, self._times = best, 0
        self._times = min(self._times + 1, self._hold)
        if self.scene is None or self._times >= self._hold:
            self.scene = best
        return self.scene
