"""How far apart the outputs of several engines are, in units of the output's last place (LSB).

All outputs of a file are compared, and the largest difference counts. Each is measured in steps of its own. Integer
outputs: one LSB is one step. Float outputs: one LSB is 2^-16 of the largest absolute output of the reference,
the step that a 16-bit output of that range would have. Against the reference forward pass, a file with float16 weights
is measured in 2^-10, the step of float16 itself: the reference has the weights before they were rounded.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

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
    """

    largest_lsb: float
    pair: tuple[str, str]
    from_base_lsb: dict[str, float]
    inputs: int


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
    pairs = {}
    for a, b in combinations(names, 2):
        step = _FLOAT16_STEP if float16_weights and REFERENCE in (a, b) else _FLOAT_STEP
        outputs = zip(base, results[a], results[b], strict=True)
        pairs[a, b] = max(_largest_lsb(scale, one, other, step) for scale, one, other in outputs)
    worst = max(pairs, key=lambda pair: pairs[pair])
    from_base = {name: pairs[names[0], name] for name in names[1:]}
    return Parity(pairs[worst], worst, {names[0]: 0.0, **from_base}, len(base[0]))


def _largest_lsb(base: np.ndarray, a: np.ndarray, b: np.ndarray, float_step: float) -> float:
    """Largest difference of two results for one output, in steps of that output."""
    whole = base.dtype.kind in "iu"
    largest = float(np.max(np.abs(base.astype(np.float64)))) or 1.0
    difference = np.abs(np.asarray(a, np.float64) - np.asarray(b, np.float64))
    lsb = difference / (1.0 if whole else float_step * largest)
    # A NaN must not pass for agreement.
    return float(np.max(np.where(np.isnan(lsb), np.inf, lsb)))
