"""How far apart the outputs of several engines are, in units of the output's last place (LSB).

All outputs of a file are compared, and the largest difference counts. Each is measured in steps of its own. Integer
outputs: one LSB is one step. Float outputs: one LSB is 2^-16 of the largest absolute output of the reference,
the step that a 16-bit output of that range would have. Against the reference forward pass, a file with float16 weights
is measured in 2^-10, the step of float16 itself: the reference has the weights before they were rounded.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from typing import Any

import numpy as np

#: Name of the reference forward pass among the results.
REFERENCE = "reference"
_FLOAT_STEP = 2.0**-16
_FLOAT16_STEP = 2.0**-10


@dataclass(frozen=True)
class Parity:
    """Differences between results.

    Attributes:
        largest_lsb: largest difference of any two results.
        pair: the two that differ most.
        from_base_lsb: largest difference of each result from the first one.
        inputs: number of invocations compared.
        pairs: largest difference of every pair of results.
        histograms: for each result but the base, how many output values differ from it by as many LSB, rounded: keys
            "0", "1", "2" and ">2", where not-a-number is.
    """

    largest_lsb: float
    pair: tuple[str, str]
    from_base_lsb: dict[str, float]
    inputs: int
    pairs: dict[tuple[str, str], float] = field(default_factory=dict)
    histograms: dict[str, dict[str, int]] = field(default_factory=dict)

    def to_dict(self, limit_lsb: float, first_difference: dict[str, Any] | None = None) -> dict[str, Any]:
        """As plain values, for a report.

        Args:
            limit_lsb: the most that the target allows.
            first_difference: where engines begin to differ, if that was looked for.
        """
        base = next(iter(self.from_base_lsb))
        return {
            "base": base,
            "limit_lsb": limit_lsb,
            "largest_lsb": _finite(self.largest_lsb),
            "pair": list(self.pair),
            "inputs": self.inputs,
            "engines": {
                name: {
                    "largest_lsb": _finite(self.from_base_lsb[name]),
                    "differing": sum(bins.values()) - bins["0"],
                    "histogram": bins,
                }
                for name, bins in self.histograms.items()
            },
            "first_difference": first_difference,
        }


def compare(results: Mapping[str, Sequence[np.ndarray]], float16_weights: bool = False) -> Parity:
    """Compares at least two results on the same inputs.

    Args:
        results: name -> an array [n, ...] for each output; the first one is the base.
        float16_weights: whether the file holds float16 weights.

    Raises:
        ValueError: fewer than two results, or results of different numbers of outputs or shapes.
    """
    names = tuple(results)
    base = results[names[0]]
    shapes = [[np.shape(output) for output in outputs] for outputs in results.values()]
    if len(names) < 2 or not base or any(found != shapes[0] for found in shapes):
        raise ValueError("parity needs two results or more, all of the same shapes")
    pairs, histograms = {}, {}
    for a, b in combinations(names, 2):
        step = _FLOAT16_STEP if float16_weights and REFERENCE in (a, b) else _FLOAT_STEP
        found = [differences(*each, step) for each in zip(base, results[a], results[b], strict=True)]
        pairs[a, b] = max(float(np.max(lsb)) for lsb in found)
        if a == names[0]:
            histograms[b] = _histogram(found)
    worst = max(pairs, key=lambda pair: pairs[pair])
    from_base = {name: pairs[names[0], name] for name in names[1:]}
    return Parity(pairs[worst], worst, {names[0]: 0.0, **from_base}, len(base[0]), pairs, histograms)


def differences(base: np.ndarray, a: np.ndarray, b: np.ndarray, float_step: float = _FLOAT_STEP) -> np.ndarray:
    """Differences of two results for one tensor, in steps of that tensor; infinite where one is not a number.

    Args:
        base: the result whose type and largest value give the step.
        a: one result, of its shape.
        b: the other.
        float_step: for floats, the step as a part of the largest value.
    """
    whole = base.dtype.kind in "iub"
    largest = float(np.max(np.abs(base.astype(np.float64)), initial=0.0)) or 1.0
    difference = np.abs(np.asarray(a, np.float64) - np.asarray(b, np.float64))
    lsb = difference / (1.0 if whole else float_step * largest)
    # A NaN must not pass for agreement.
    return np.where(np.isnan(lsb), np.inf, lsb)


def _histogram(found: Sequence[np.ndarray]) -> dict[str, int]:
    steps = np.concatenate([np.rint(np.ravel(lsb)) for lsb in found])
    counts = {str(step): int(np.sum(steps == step)) for step in range(3)}
    return {**counts, ">2": int(np.sum(steps > 2))}


def _finite(value: float) -> float | None:
    """Rounded; None for a difference that is no number."""
    return round(value, 3) if math.isfinite(value) else None
