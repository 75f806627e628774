"""The checks of a report that only a streaming set has, or has otherwise than other sets; RAM: `stream_memory`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from keras_mtl.causal_decoding import CausalDecoder, Change
from keras_mtl.firmware_host.checks import at_most
from keras_mtl.firmware_host.checks import audio_latency_s as latency_check
from keras_mtl.firmware_host.engines.stream_set_runner import StreamSetRun
from keras_mtl.firmware_host.event_median import median_steps
from keras_mtl.firmware_host.parity import REFERENCE
from keras_mtl.firmware_host.report import Check
from keras_mtl.firmware_host.set_checks import PROBABILITY_LIMIT
from keras_mtl.firmware_host.target import Target
from keras_mtl.tflite.stream_set_wiring import StreamWiring

#: One event in twenty of the golden recording may begin or end elsewhere: a probability can lie at the threshold.
EVENTS_LIMIT = 0.05


def audio_latency_s(manifest: Mapping[str, Any], wiring: StreamWiring, target: Target) -> Check | None:
    """How long a sound waits for its result, at the most."""
    found = manifest["latency_s"]
    task = max(found, key=found.__getitem__)
    others = ", ".join(f"{name} {value:g} s" for name, value in found.items() if name != task)
    waits_for = {"scenes": "the scene decoder's turn"}.get(task, "its step, the look-ahead and the median filter")
    if task == "events" and wiring.event_ring:
        waits_for = f"the turn of the {task}' decoder over its ring, and the median filter"
    told = f"{waits_for} ({task}" + (f"; {others}" if others else "") + ")"
    late = [name for name, seconds in found.items() if seconds > (target.audio_latency_s or seconds)]
    remedies = [remedy for name in late for remedy in _sooner(name, manifest, wiring)]
    return latency_check(found[task], told, target, remedies)


def _sooner(task: str, manifest: Mapping[str, Any], wiring: StreamWiring) -> list[str]:
    """What would make a streaming set answer sooner for a task: what it has not got already."""
    if task == "scenes":
        return ["a smaller --scene-hop"] if wiring.scene_hop > 1 else []
    if wiring.event_ring:
        return [*(["a smaller --event-hop"] if wiring.event_hop > 1 else []), "a causal event part"]
    found = ["a shorter look-ahead"] if wiring.look_ahead else []
    return found + (["a shorter median filter"] if median_steps(manifest, wiring) > 1 else [])


def parity_probability(golden: Mapping[str, np.ndarray], runs: Sequence[StreamSetRun]) -> Check | None:
    """Largest difference of any two results' event probabilities; None for a set without events."""
    if "strong" not in golden:
        return None
    found = {REFERENCE: golden["strong"], **{run.engine: run.strong for run in runs if run.strong is not None}}
    if len(found) < 2:
        return Check("parity_probability", None, PROBABILITY_LIMIT, "", False, "no engine could run the set")
    stacked = np.stack([np.ravel(np.asarray(values, np.float64)) for values in found.values()])
    spread = np.ptp(stacked, axis=0)
    ends = [list(found)[int(pick(stacked[:, int(spread.argmax())]))] for pick in (np.argmin, np.argmax)]
    why = f"{ends[0]} against {ends[1]}, {len(golden['strong'])} steps of the golden recording; ran: "
    why += ", ".join(run.engine for run in runs)
    return at_most("parity_probability", round(float(spread.max()), 6), PROBABILITY_LIMIT, "", why)


def events_differ(
    golden: Mapping[str, np.ndarray], runs: Sequence[StreamSetRun], manifest: Mapping[str, Any], wiring: StreamWiring
) -> Check | None:
    """Events of the golden recording that an engine decodes otherwise than the reference; None without events."""
    if "strong" not in golden or not runs:
        return None
    median, threshold = median_steps(manifest, wiring), manifest["decoding"]["threshold"]

    def decoded(strong: np.ndarray) -> set[tuple[int, int, int]]:
        decoder = CausalDecoder(strong.shape[1], median, threshold)
        changes: list[Change] = [*decoder.push(strong), *decoder.finish()]
        return {(each.onset, each.offset, each.label) for each in changes if each.ended}

    goal = decoded(golden["strong"])
    found = {run.engine: len(goal ^ decoded(run.strong)) for run in runs if run.strong is not None}
    worst = max(found, key=found.__getitem__)
    who = worst if found[worst] else "every engine"
    why = f"{who} against the reference, which has {len(goal)} events; an event that moved counts twice"
    return at_most("events_differ", found[worst], max(2, int(2 * EVENTS_LIMIT * len(goal))), "events", why)
