"""How much each part of a network costs when it alone is quantized: noise at the output and embeddings, and decisions.

The signal is what the twin gives when nothing rounds, and noise is the difference to that. The noises of parts that
round one at a time add up to that of all only roughly; `Sensitivity.everything` is what all together make.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from keras_mtl.tflite.sensitivity.partial_quantization import Part
from keras_mtl.tflite.sensitivity.probes import Probe


@dataclass(frozen=True)
class Cost:
    """What rounding costs, over all clips.

    Attributes:
        output_noise: noise power at the network's output, as a part of the signal's.
        embeddings_noise: the same for what the encoder gives.
        accuracy: share of clips that are decided rightly; None where their truth is not known.
        agreement: share of decisions that are those without rounding.
    """

    output_noise: float
    embeddings_noise: float
    accuracy: float | None
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
    """Costs of all parts of a twin.

    Attributes:
        scheme: "int8" or "int16x8".
        clips: how many were measured.
        accuracy: share of them that is decided rightly when nothing rounds; None where their truth is not known.
        everything: what all parts cost together.
        parts: in the order of computation.
    """

    scheme: str
    clips: int
    accuracy: float | None
    everything: Cost
    parts: tuple[PartCost, ...]


def decibels(noise: float) -> float | None:
    """Signal-to-noise ratio in dB of a noise power that is a part of the signal's; None where there is no noise."""
    return -10.0 * math.log10(noise) if noise > 0.0 else None


def sensitivity(
    probe: Probe,
    scheme: str,
    clips: np.ndarray,
    scenes: np.ndarray | None = None,
    report: Callable[[int, int], None] = lambda done, of: None,
) -> Sensitivity:
    """Measures each part of a twin rounding alone, and all of them.

    Args:
        probe: of the twin.
        scheme: that of the twin.
        clips: normalised log-mel, float32 [n, frames, mel_bands].
        scenes: their scenes, int [n], for accuracies.
        report: called with how many clips are done, and of how many.
    """
    parts = probe.parts
    # Beside weights, or an operator that rounds by itself.
    mixed = [part for part in parts if part.ranges and part.ranges != part.layers]
    choices = [part.layers for part in parts] + [part.ranges for part in mixed]
    every = [layer for part in parts for layer in part.layers]
    nothing, *rest, everything = costs(probe, [*choices, every], clips, scenes, report)
    alone = dict(zip([part.name for part in parts], rest[: len(parts)], strict=True))
    activations = {part.name: alone[part.name].output_noise for part in parts if part.ranges == part.layers}
    activations |= {part.name: cost.output_noise for part, cost in zip(mixed, rest[len(parts) :], strict=True)}
    rows = tuple(PartCost(part, alone[part.name], activations.get(part.name, 0.0)) for part in parts)
    return Sensitivity(scheme, len(clips), nothing.accuracy, everything, rows)


def costs(
    probe: Probe,
    choices: Sequence[Sequence[str]],
    clips: np.ndarray,
    scenes: np.ndarray | None = None,
    report: Callable[[int, int], None] = lambda done, of: None,
) -> list[Cost]:
    """What each choice of layers costs when they alone round: first what none costs, then each choice as given."""
    sums = [_Sums(probe) for _ in (None, *choices)]
    for start in range(0, len(clips), probe.batch):
        part = clips[start : start + probe.batch, ..., None]
        truth = None if scenes is None else scenes[start : start + probe.batch]
        signal = probe(part, ())
        for of, rounding in zip(sums, ((), *choices), strict=True):
            of.add(signal, probe(part, frozenset(rounding)) if rounding else signal, truth)
        report(start + len(part), len(clips))
    return [of.cost() for of in sums]


class _Sums:
    """Powers of embeddings and outputs, and counts, over batches."""

    def __init__(self, probe: Probe) -> None:
        self.probe = probe
        self.signal, self.noise = np.zeros(2), np.zeros(2)
        self.right: int | None = 0
        self.same = self.decisions = self.clips = 0

    def add(self, signal: Sequence[np.ndarray], found: Sequence[np.ndarray], truth: np.ndarray | None) -> None:
        pairs = list(zip(signal, found, strict=True))
        self.signal += [np.square(quiet, dtype=np.float64).sum() for quiet, _ in pairs]
        self.noise += [np.square(np.subtract(loud, quiet, dtype=np.float64)).sum() for quiet, loud in pairs]
        goal, decided = self.probe.decided(signal[1]), self.probe.decided(found[1])
        self.right = None if truth is None or self.right is None else self.right + int((decided == truth).sum())
        self.same += int((decided == goal).sum())
        self.decisions += decided.size
        self.clips += len(decided)

    def cost(self) -> Cost:
        embeddings, output = np.where(self.signal > 0.0, self.noise / np.maximum(self.signal, 1e-300), 0.0)
        accuracy = None if self.right is None else self.right / self.clips
        return Cost(float(output), float(embeddings), accuracy, self.same / self.decisions)
