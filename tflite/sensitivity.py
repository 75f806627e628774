"""How much each part of a network costs when it alone is quantized: noise at the output and embeddings, and decisions.

The signal is what the twin gives when nothing rounds, and noise is the difference to that. The noises of parts that
round one at a time add up to that of all only roughly; `Sensitivity.everything` says what all together make.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from keras_mtl.tflite.partial_quantization import Part, parts_of, run_partly
from keras_mtl.tflite.qat_signals import EMBEDDINGS

_BATCH = 50
_EMBEDDINGS = "embeddings"
_OUTPUT = "output"


@dataclass(frozen=True)
class Cost:
    """What rounding costs, over all clips.

    Attributes:
        output_noise: noise power at the network's output, as a part of the signal's.
        embeddings_noise: the same for what the encoder gives.
        accuracy: share of clips that are decided rightly.
        agreement: share of clips that are decided as without rounding.
    """

    output_noise: float
    embeddings_noise: float
    accuracy: float
    agreement: float


@dataclass(frozen=True)
class PartCost:
    """What a part costs when it alone rounds.

    Attributes:
        part: what rounds.
        cost: of its weights and activations.
        activations_noise: noise power at the output of its activations alone, as a part of the signal's.
    """

    part: Part
    cost: Cost
    activations_noise: float


@dataclass(frozen=True)
class Sensitivity:
    """Costs of all parts of a scene twin.

    Attributes:
        scheme: "int8" or "int16x8".
        clips: how many were heard.
        accuracy: share of them that is decided rightly when nothing rounds.
        everything: what all parts cost together.
        parts: in the order of computation.
    """

    scheme: str
    clips: int
    accuracy: float
    everything: Cost
    parts: tuple[PartCost, ...]


def decibels(noise: float) -> float | None:
    """Signal-to-noise ratio in dB of a noise power that is a part of the signal's; None where there is no noise."""
    return -10.0 * math.log10(noise) if noise > 0.0 else None


def sensitivity(
    twin: keras.Model,
    scheme: str,
    clips: np.ndarray,
    scenes: np.ndarray,
    report: Callable[[int, int], None] = lambda done, of: None,
) -> Sensitivity:
    """Lets each part of a calibrated twin round alone, and all of them.

    Args:
        twin: model of `build_qat`.
        scheme: that of the twin.
        clips: normalised log-mel, float32 [n, frames, mel_bands].
        scenes: their scenes, int [n].
        report: is told how many clips are done, and of how many.
    """
    parts = parts_of(twin)
    runs = {part.name: part.layers for part in parts}
    # Beside weights, or an operator that rounds by itself.
    mixed = [part for part in parts if part.ranges and part.ranges != part.layers]
    found = costs(
        twin,
        [*runs.values(), *(part.ranges for part in mixed), [layer for part in parts for layer in part.layers]],
        clips,
        scenes,
        report,
    )
    nothing, *rest, everything = found
    alone = dict(zip(runs, rest[: len(parts)], strict=True))
    activations = {part.name: cost.output_noise for part, cost in zip(mixed, rest[len(parts) :], strict=True)}
    activations |= {part.name: alone[part.name].output_noise for part in parts if part.ranges == part.layers}
    rows = tuple(PartCost(part, alone[part.name], activations.get(part.name, 0.0)) for part in parts)
    return Sensitivity(scheme, len(clips), nothing.accuracy, everything, rows)


def costs(
    twin: keras.Model,
    choices: Sequence[Sequence[str]],
    clips: np.ndarray,
    scenes: np.ndarray,
    report: Callable[[int, int], None] = lambda done, of: None,
) -> list[Cost]:
    """What each choice of layers costs when they alone round: first what none costs, then each choice as given."""
    model = keras.Model(twin.input, {_EMBEDDINGS: twin.get_layer(EMBEDDINGS).output, _OUTPUT: twin.output})
    sums = [_Sums() for _ in (None, *choices)]
    for start in range(0, len(clips), _BATCH):
        part, truth = clips[start : start + _BATCH, ..., None], scenes[start : start + _BATCH]
        signal = _arrays(run_partly(model, part, ()))
        for of, rounding in zip(sums, ((), *choices), strict=True):
            of.add(signal, _arrays(run_partly(model, part, frozenset(rounding))) if rounding else signal, truth)
        report(min(start + _BATCH, len(clips)), len(clips))
    return [of.cost(len(clips)) for of in sums]


class _Sums:
    """Powers and counts over batches."""

    def __init__(self) -> None:
        self.signal = dict.fromkeys((_EMBEDDINGS, _OUTPUT), 0.0)
        self.noise = dict(self.signal)
        self.right = self.same = 0

    def add(self, signal: dict[str, np.ndarray], found: dict[str, np.ndarray], truth: np.ndarray) -> None:
        for key, values in signal.items():
            self.signal[key] += float(np.square(values).sum())
            self.noise[key] += float(np.square(found[key] - values).sum())
        decided = found[_OUTPUT].argmax(-1)
        self.right += int((decided == truth).sum())
        self.same += int((decided == signal[_OUTPUT].argmax(-1)).sum())

    def cost(self, clips: int) -> Cost:
        noise = {key: self.noise[key] / power if power else 0.0 for key, power in self.signal.items()}
        return Cost(noise[_OUTPUT], noise[_EMBEDDINGS], self.right / clips, self.same / clips)


def _arrays(outputs: dict[str, Any]) -> dict[str, np.ndarray]:
    return {key: np.asarray(value, np.float64) for key, value in outputs.items()}
