"""How the engines' results for a set differ, and by which member's operator first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from keras_mtl.errors import KerasMtlError
from keras_mtl.firmware_host.emulator import random_inputs
from keras_mtl.firmware_host.engines.set_runner import SetRun
from keras_mtl.firmware_host.first_difference import first_operator
from keras_mtl.firmware_host.parity import REFERENCE, Parity, compare
from keras_mtl.firmware_host.set_checks import PROBABILITY_LIMIT
from keras_mtl.tflite import flatbuffer
from keras_mtl.tflite.artifact import Artifact
from keras_mtl.tflite.artifact_set import ArtifactSet


def scenes_parity(artifacts: ArtifactSet, runs: Sequence[SetRun]) -> Parity | None:
    """Logits in steps of the scene head's output; None without any."""
    goal = artifacts.golden.get("scenes")
    if goal is None or not runs:
        return None
    return _compare(goal, {run.engine: run.scenes for run in runs}, _step(artifacts, artifacts.wiring.scene_head))


def events_parity(artifacts: ArtifactSet, runs: Sequence[SetRun]) -> Parity | None:
    """Probabilities of the events in steps of the classifiers' output; None without any."""
    goal = artifacts.golden.get("strong")
    if goal is None or not runs:
        return None
    return _compare(goal, {run.engine: run.strong for run in runs}, _step(artifacts, artifacts.wiring.classifiers))


def told(
    artifacts: ArtifactSet, scenes: Parity | None, events: Parity | None, limit_lsb: float, timeout_s: float
) -> dict[str, Any] | None:
    """Both as plain values, for a report.

    Args:
        artifacts: the set.
        scenes: of its logits.
        events: of its probabilities; what is allowed there is `set_checks.PROBABILITY_LIMIT`.
        limit_lsb: the most that the target allows of logits.
        timeout_s: for each engine.

    Returns:
        The keys of `Parity.to_dict` for the scenes, and the same under `events` for these; of a set without scenes,
        those of the events, and `of` says which. `first_difference` has the key `member` besides. None where nothing
        was compared.
    """
    found = []
    if scenes is not None:
        found.append(_with_first(artifacts, "scenes", scenes, limit_lsb, limit_lsb, timeout_s))
    if events is not None:
        allowed = PROBABILITY_LIMIT / _step(artifacts, artifacts.wiring.classifiers)
        found.append(_with_first(artifacts, "events", events, allowed, limit_lsb, timeout_s))
    if len(found) == 2:
        return found[0] | {"events": found[1]}
    return found[0] if found else None


def _with_first(
    artifacts: ArtifactSet, of: str, parity: Parity, allowed: float, limit_lsb: float, timeout_s: float
) -> dict[str, Any]:
    pairs = {pair: lsb for pair, lsb in parity.pairs.items() if REFERENCE not in pair}
    first = None
    if pairs and max(pairs.values()) > allowed:
        one, other = max(pairs, key=lambda pair: pairs[pair])
        engine, against = sorted((one, other), key=lambda name: -parity.from_base_lsb[name])
        first = first_in_set(artifacts.members, (engine, against), limit_lsb, timeout_s)
    return {"of": of, **parity.to_dict(round(allowed, 3), first)}


def first_in_set(
    members: Mapping[str, Artifact], engines: tuple[str, str], limit_lsb: float, timeout_s: float
) -> dict[str, Any]:
    """The first operator, member by member, that two engines compute differently on the same seeded random inputs.

    Each member gets inputs of its own, so that one that differs is not blamed on those after it.

    Args:
        members: each file by its name, in the order in which they run.
        engines: the one in question, and the one that it is compared with.
        limit_lsb: the most that is allowed.
        timeout_s: for each engine.

    Returns:
        `engine`, `against`, `member` and the keys of `first_operator`.
    """
    found: dict[str, Any] = {"engine": engines[0], "against": engines[1]}
    for name, artifact in members.items():
        inputs = [values[:1] for values in random_inputs(flatbuffer.read_model(artifact.content))]
        try:
            first = first_operator(artifact.content, inputs, engines, limit_lsb, timeout_s)
        except KerasMtlError as error:
            return found | {"member": name, "why": f"not named: {error.message}"}
        if "operator" in first:
            return found | {"member": name} | first
    return found | {"why": "no operator differs on random inputs"}


def _step(artifacts: ArtifactSet, member: str) -> float:
    return float(artifacts.members[member].manifest["outputs"][0]["scale"])


def _compare(goal: np.ndarray, results: Mapping[str, np.ndarray | None], step: float) -> Parity:
    found = {REFERENCE: goal, **{name: values for name, values in results.items() if values is not None}}
    return compare({name: (np.rint(np.asarray(values) / step).astype(np.int32),) for name, values in found.items()})
