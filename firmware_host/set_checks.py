"""The checks of a report that only a set of artifacts has, or has otherwise than a single file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from keras_mtl.decoding import decode
from keras_mtl.features import LogMelSettings
from keras_mtl.firmware_host.arena_reserve import ARENA_RESERVE_BYTES
from keras_mtl.firmware_host.checks import STREAMING_SET, at_most, planned
from keras_mtl.firmware_host.checks import audio_latency_s as latency_check
from keras_mtl.firmware_host.engines.set_runner import SetRun
from keras_mtl.firmware_host.parity import REFERENCE
from keras_mtl.firmware_host.report import Check
from keras_mtl.firmware_host.target import Target
from keras_mtl.tflite.audit import float_islands
from keras_mtl.tflite.wiring import Wiring
from keras_mtl.timeline import Event, Grid

#: Probabilities of two engines may differ by as much after all steps of a clip.
PROBABILITY_LIMIT = 0.01
#: Part of the clips that may be decoded to other events. Of few clips one may: a probability can lie at the threshold.
CLIPS_LIMIT = 0.01


def arena_bytes(
    tflm: SetRun | None, buffers: Mapping[str, int], target: Target, arena: dict[str, Any] | None = None
) -> Check | None:
    """Arenas of all members and what is kept between calls, against the RAM that is free; None for a budget."""
    if target.arena_ram_bytes is None:
        return None
    kept = target.application_ram_bytes or 0
    limit = target.arena_ram_bytes - kept - ARENA_RESERVE_BYTES
    arenas = tflm.arenas_in_all if tflm else None
    if tflm is None or arenas is None:
        return Check(
            "arena_bytes", None, limit, "bytes", False, f"not measured: TFLM did not run the set{planned(arena)}"
        )
    between = ", ".join(f"{name} {size:,}" for name, size in buffers.items())
    why = f"arenas {arenas:,}, measured by TFLM on the host{planned(arena)}, "
    why += f"and buffers {sum(buffers.values()):,} ({between}); "
    why += f"of {target.arena_ram_bytes:,} the application keeps {kept:,} and {ARENA_RESERVE_BYTES:,} are a reserve"
    return at_most("arena_bytes", arenas + sum(buffers.values()), limit, "bytes", why)


def audio_latency_s(wiring: Wiring, settings: LogMelSettings, target: Target) -> Check | None:
    """How long a sound waits for its result: events of a bidirectional decoder for the end of the clip.

    Events of a causal decoder wait for the end of the window that brings the last embedding they need.
    """
    window_s = wiring.windows.frames * settings.hop_s
    clip_s = wiring.clip_frames * settings.hop_s
    if not clip_s:
        return latency_check(round(window_s, 6), f"the end of a window of {window_s:g} s", target, [STREAMING_SET])
    if wiring.causal:
        ahead_s = wiring.look_ahead * wiring.windows.stride * settings.hop_s
        waits_for = f"the end of a window of {window_s:g} s, and the event part's look-ahead of {ahead_s:g} s"
        remedies = [*(["a shorter look-ahead"] if wiring.look_ahead else []), STREAMING_SET]
        return latency_check(round(window_s + ahead_s, 6), waits_for, target, remedies)
    waits_for = f"the end of a clip of {clip_s:g} s, from which the backward direction of the event part starts"
    waits_for += f" (scenes for a window of {window_s:g} s)" if wiring.scene_head else ""
    return latency_check(round(clip_s, 6), waits_for, target, ["shorter clips", "a causal event part", STREAMING_SET])


def integer_only(models: Mapping[str, Any]) -> Check:
    """Whether every member is integer from input to output."""
    islands = [f"{name}: {island.op}" for name, model in models.items() for island in float_islands(model)]
    why = f"floating point in {', '.join(islands[:3])}" if islands else "no floating-point tensor in any member"
    return Check("integer_only", len(islands), 0, "operators", not islands, why)


def parity_probability(golden: Mapping[str, np.ndarray], runs: Sequence[SetRun]) -> Check | None:
    """Largest difference of any two results' event probabilities; None for a set without events."""
    if "strong" not in golden:
        return None
    found = _tracks(golden, runs)
    if len(found) < 2:
        return Check("parity_probability", None, PROBABILITY_LIMIT, "", False, "no engine could run the set")
    stacked = np.stack([np.concatenate([np.ravel(s), np.ravel(w)]) for s, w in found.values()])
    spread = np.ptp(stacked, axis=0)
    largest = float(np.max(np.where(np.isnan(spread), np.inf, spread)))
    ends = [list(found)[int(pick(stacked[:, int(np.argmax(spread))]))] for pick in (np.argmin, np.argmax)]
    clips = len(golden["strong"])
    why = f"{ends[0]} against {ends[1]}, {clips} golden clips of {golden['strong'].shape[1]} steps; ran: "
    if not np.isfinite(largest):
        return Check("parity_probability", None, PROBABILITY_LIMIT, "", False, f"not a number: {why}")
    return at_most(
        "parity_probability", round(largest, 6), PROBABILITY_LIMIT, "", why + ", ".join(r.engine for r in runs)
    )


def events_differ(
    golden: Mapping[str, np.ndarray], runs: Sequence[SetRun], manifest: Mapping[str, Any], wiring: Wiring
) -> Check | None:
    """Golden clips that an engine decodes to other events than the reference; None for a set without events.

    Onsets and offsets are the same if they lie on the same step.
    """
    if "strong" not in golden or not runs:
        return None
    grid = Grid.over(LogMelSettings.from_dict(manifest["features"]), wiring.clip_frames, wiring.windows.stride)
    labels, decoding = manifest["labels"]["events"], manifest["decoding"]
    heard = {
        name: [_events(clip, grid, labels, decoding) for clip in strong]
        for name, (strong, _) in _tracks(golden, runs).items()
    }
    differing = {name: sum(a != b for a, b in zip(heard[REFERENCE], each, strict=True)) for name, each in heard.items()}
    worst = max(differing, key=lambda name: differing[name])
    clips = len(golden["strong"])
    total = sum(len(events) for events in heard[REFERENCE])
    who = worst if differing[worst] else "every engine"
    why = f"{who} against the reference, {clips} golden clips with {total} events"
    return at_most("events_differ", differing[worst], max(1, int(CLIPS_LIMIT * clips)), "clips", why)


def _tracks(golden: Mapping[str, np.ndarray], runs: Sequence[SetRun]) -> dict[str, tuple[Any, Any]]:
    found = {run.engine: (run.strong, run.weak) for run in runs if run.strong is not None}
    return {REFERENCE: (golden["strong"], golden["weak"]), **found}


def _events(strong: np.ndarray, grid: Grid, labels: Sequence[str], decoding: Mapping[str, Any]) -> list[Event]:
    return [event for event, _ in decode(strong, grid, labels, decoding["threshold"], decoding["median_s"])]
