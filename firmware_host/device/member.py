"""One member of an artifact, opened by an interpreter."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from keras_mtl.tflite.artifact import Port


@dataclass(frozen=True)
class OpenMember:
    """A `.tflite` file that an interpreter has taken.

    Attributes:
        invoke: one inference: an array for each input, with the batch dimension, to one for each output. What it gives
            may lie in the interpreter's memory, until the next call.
        inputs, outputs: its ports, in the file's order.
        arena: bytes of tensor arena that it used, to be asked after the first inference; None for interpreters without
            one.
    """

    invoke: Callable[[list[np.ndarray]], list[np.ndarray]]
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    arena: Callable[[], int | None] = lambda: None

    def __call__(self, *arrays: np.ndarray) -> list[np.ndarray]:
        """One inference on contiguous copies where they are needed; the outputs are copies."""
        # `np.ascontiguousarray` would make a vector of a scalar.
        made = self.invoke([np.asarray(values, order="C") for values in arrays])
        return [np.array(values) for values in made]
