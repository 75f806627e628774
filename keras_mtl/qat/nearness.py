"""How near a twin is to its float network."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from keras_mtl.qat.batches import ROWS
from keras_mtl.qat.conversion import output_names


@dataclass(frozen=True)
class Nearness:
    """How near a twin is to its float network, on some examples.

    Attributes:
        outputs: for each output, the signal's power over that of the difference, in decibels.
        agreement: part of the examples for which the largest value of the first output is at the same place.
    """

    outputs: dict[str, float]
    agreement: float


def outputs_of(model: Any, examples: Sequence[np.ndarray]) -> list[np.ndarray]:
    """What a model gives for examples [n, ...] of each of its inputs: an array [n, ...] of each output."""
    found = []
    for start in range(0, len(examples[0]), ROWS):
        rows = [each[start : start + ROWS].astype(np.float32) for each in examples]
        made = model(keras.tree.pack_sequence_as(model._inputs_struct, rows), training=False)
        found.append([np.asarray(each) for each in keras.tree.flatten(made)])
    return [np.concatenate(each) for each in zip(*found, strict=True)]


def nearness(twin: Any, goals: Sequence[np.ndarray], found: Sequence[np.ndarray]) -> Nearness:
    """Compares outputs of a twin with the float network's, both arrays [n, ...] of each output."""
    decibels = {}
    for name, goal, made in zip(output_names(twin), goals, found, strict=True):
        noise = float(np.mean(np.square(made - goal, dtype=np.float64)))
        signal = float(np.mean(np.square(goal, dtype=np.float64)))
        decibels[name] = round(10.0 * float(np.log10(max(signal, 1e-30) / max(noise, 1e-30))), 2)
    same = np.argmax(goals[0], axis=-1) == np.argmax(found[0], axis=-1)
    return Nearness(decibels, round(float(np.mean(same)), 4))
