"""How far apart the outputs of several engines are, in units of the output's last place (LSB).

All outputs of a file are compared, and the largest difference counts. Each is measured in steps of its own. Integer
outputs: one LSB is one step. Float outputs behind DEQUANTIZE: a step of its scale (`flatbuffer.tensor_step`). Other
float outputs: one LSB is 2^-16 of the largest absolute output of the reference, the step that a 16-bit output of that
range would have. Against the reference forward pass, a file with float16 weights is measured in 2^-10, the step of
float16 itself: the reference has the weights before they were rounded.

What decides is `Parity.decided_by`: TensorFlow Lite Micro against the golden outputs or, without any, against the
reference kernels, which it was made from. Kernels of other families round otherwise, and are told only.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations, zip_longest
from typing import Any

import numpy as np

from keras_mtl.core import ArtifactError
from keras_mtl.firmware_host.compute import WRONG_SUMS, OpRow
from keras_mtl.firmware_host.engines import EngineRun
from keras_mtl.tflite import flatbuffer
from keras_mtl.tflite.artifact import Artifact

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

    @property
    def base(self) -> str:
        """The result that the others are compared with."""
        return next(iter(self.from_base_lsb))

    def decided_by(self, limit_lsb: float, wrong: Collection[str] = ()) -> tuple[str, str] | None:
        """The pair whose difference is held against a limit; None where there is none that a verdict can rest on.

        With golden outputs these and TensorFlow Lite Micro or, where it did not run, the engine nearest to them. Else
        TensorFlow Lite Micro and the reference kernels or, where these differ by more, the engine nearest to it: what
        two families of kernels compute alike is right. None where only kernels of other families differ from it.

        Args:
            limit_lsb: the most that is allowed.
            wrong: engines that are known to compute an operator of the file wrongly.
        """
        if not self.pairs:
            return self.pair
        others = {name: lsb for name, lsb in self.from_base_lsb.items() if name != self.base}
        nearest = min(others, key=others.__getitem__)
        if self.base == REFERENCE:
            return self.base, "tflm" if "tflm" in others else nearest
        kernels = [name for name in others if name == "litert-reference" and name not in wrong]
        trusted = kernels[0] if kernels else None
        if trusted is not None and others[trusted] <= limit_lsb:
            return self.base, trusted
        if others[nearest] <= limit_lsb or not math.isfinite(others[nearest]):
            return self.base, nearest
        # Without TensorFlow Lite Micro two families of kernels of one runtime are left.
        return (self.base, trusted) if trusted is not None and self.base == "tflm" else None

    def left_out(self, limit_lsb: float, wrong: Collection[str] = ()) -> dict[str, float]:
        """The engines that differ from the base by more than is allowed, and by how much, but for what decides."""
        decided = self.decided_by(limit_lsb, wrong) or ()
        return {name: lsb for name, lsb in self.from_base_lsb.items() if lsb > limit_lsb and name not in decided}

    def to_dict(
        self, limit_lsb: float, first_difference: dict[str, Any] | None = None, wrong: Collection[str] = ()
    ) -> dict[str, Any]:
        """As plain values, for a report."""
        decided = self.decided_by(limit_lsb, wrong)
        pair = decided or self.pair
        return {
            "base": self.base,
            "limit_lsb": limit_lsb if decided else None,
            "largest_lsb": _finite(self.pairs.get(pair, self.largest_lsb)),
            "pair": list(pair),
            "left_out": sorted(self.left_out(limit_lsb, wrong)),
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


def parities(artifact: Artifact, runs: Mapping[str, EngineRun]) -> dict[str, Parity]:
    """How the outputs of engines differ, and from the golden ones where there are any.

    `runs`: what the engines gave, on the golden inputs where there are any.

    Returns:
        Of clips `outputs` and, of a file that keeps a state, `in_a_row`: the former then with a reset before each, the
        latter without. Of a stream `scenes` (logits) and `events` (probabilities), both in steps of the port that gave
        them; each only where there are two results or more.

    Raises:
        ArtifactError: golden outputs of other shapes than the file's.
    """
    if artifact.streams:
        ports = {"scenes": artifact.wiring.scene_head, "strong": artifact.wiring.classifiers}
        found = {}
        for name, member in ports.items():
            results = {key: (values,) for key, values in _of_stream(artifact, runs, name).items()}
            if member and len(results) > 1:
                lsb = artifact.members[member].outputs[0].scale
                found["events" if name == "strong" else name] = compare(results, steps=(lsb,))
        return found
    model, found = artifact.network.model, {}
    float16 = any(flatbuffer.tensor_dtype(t) == "float16" for graph in model.subgraphs for t in graph.tensors)
    kinds = {"outputs": {name: run.outputs for name, run in runs.items()}}
    if artifact.network.keeps_state:
        kinds = {"outputs": {name: run.from_reset for name, run in runs.items()}, "in_a_row": kinds["outputs"]}
    for kind, given in kinds.items():
        outputs = {name: tuple(values.values()) for name, values in given.items()}
        # Golden outputs are those of inferences one after the other.
        if artifact.golden and outputs and kind == [*kinds][-1]:
            golden = tuple(artifact.golden.outputs.values())
            outputs = {REFERENCE: _fitted(golden, next(iter(outputs.values()))), **outputs}
        if len(outputs) > 1:
            found[kind] = compare(outputs, float16, flatbuffer.output_steps(model))
    return found


def probabilities(artifact: Artifact, runs: Mapping[str, EngineRun]) -> dict[str, np.ndarray]:
    """Probabilities of a stream's events [embeddings, events]: the golden ones, and those of each engine."""
    return _of_stream(artifact, runs, "strong")


def _of_stream(artifact: Artifact, runs: Mapping[str, EngineRun], name: str) -> dict[str, np.ndarray]:
    if artifact.golden is None or name not in artifact.golden.outputs:
        return {}
    found = {engine: run.outputs[name] for engine, run in runs.items() if name in run.outputs}
    return {REFERENCE: artifact.golden.outputs[name], **found}


def _fitted(golden: Sequence[np.ndarray], outputs: Sequence[np.ndarray]) -> tuple[np.ndarray, ...]:
    """Golden outputs in the shapes of what the engines gave."""
    try:
        return tuple(known.reshape(found.shape) for known, found in zip(golden, outputs, strict=True))
    except ValueError:
        shapes = [[list(values.shape) for values in listed] for listed in (golden, outputs)]
        raise ArtifactError(f"golden outputs of shapes {shapes[0]} do not fit {shapes[1]}") from None


def compare(
    results: Mapping[str, Sequence[np.ndarray]], float16_weights: bool = False, steps: Sequence[float | None] = ()
) -> Parity:
    """Compares two results or more on the same inputs.

    Args:
        results: name -> an array [n, ...] for each output; the first one is the base.
        float16_weights: whether the file holds float16 weights.
        steps: of each output, the step of real values that were integers: they are rounded to it first. None, or none
            given, for values as they are.

    Returns:
        Their parity: infinitely far apart where shapes differ, or nothing is there to be compared.
    """
    shapes = {name: [np.shape(values) for values in outputs] for name, outputs in results.items()}
    name, *others = shapes
    odd = next((other for other in others if shapes[other] != shapes[name]), None)
    # A damaged file, of which engines make different things, or nothing.
    if odd or not shapes[name] or any(0 in shape for shape in shapes[name]):
        return Parity(math.inf, (name, odd or name), dict.fromkeys(shapes, math.inf), 0)
    base, pairs, histograms = results[name], {}, {}
    for a, b in combinations(shapes, 2):
        step = _FLOAT16_STEP if float16_weights and REFERENCE in (a, b) else _FLOAT_STEP
        listed = zip_longest(base, results[a], results[b], steps)
        found = [steps_apart(of, one, other, lsb, step) for of, one, other, lsb in listed]
        pairs[a, b] = max(float(np.max(lsb)) for lsb in found)
        if a == name:
            histograms[b] = _histogram(found)
    worst = max(pairs, key=lambda pair: pairs[pair])
    from_base = {other: pairs[name, other] for other in others}
    return Parity(pairs[worst], worst, {name: 0.0, **from_base}, len(base[0]), pairs, histograms)


def wrong_kernels(rows: Sequence[OpRow]) -> dict[str, str]:
    """Engines that are known to compute an operator wrongly, and the operator, as "int8 SUM"."""
    sums = [f"{row.data_dtype} {row.op}" for row in rows if row.op == "SUM" and row.data_dtype in WRONG_SUMS]
    return {"litert-reference": sums[0]} if sums else {}


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


def steps_apart(
    base: np.ndarray, a: np.ndarray, b: np.ndarray, lsb: float | None, float_step: float = _FLOAT_STEP
) -> np.ndarray:
    """Differences of two results in steps of real values that were integers; without a step, as of `differences`."""
    if not lsb:
        return differences(base, a, b, float_step)
    steps = np.abs(np.rint(np.asarray(a) / lsb) - np.rint(np.asarray(b) / lsb))
    return np.where(np.isnan(steps), np.inf, steps)


def _histogram(found: Sequence[np.ndarray]) -> dict[str, int]:
    steps = np.concatenate([np.rint(np.ravel(lsb)) for lsb in found])
    counts = {str(step): int(np.sum(steps == step)) for step in range(3)}
    return {**counts, ">2": int(np.sum(steps > 2))}


def _finite(value: float) -> float | None:
    """Rounded; None for a difference that is no number."""
    return round(value, 3) if math.isfinite(value) else None
