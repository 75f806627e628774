"""The checks of a report, one function each. Every check has where its figure comes from, or what is wrong.

A check takes the `Context` and gives None where the target, the artifact or the call has nothing to be checked. Where
there is a limit and nothing to hold against it, it gives a text: why it was not checked. A new one goes into `CHECKS`,
at the place where it shall stand in the report.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable

import numpy as np

from keras_mtl.core import FeatureMismatch, LogMelSettings
from keras_mtl.decoding import EventDecoder
from keras_mtl.firmware_host.compute import code_parts, uncounted
from keras_mtl.firmware_host.emulate import memory as stream_memory
from keras_mtl.firmware_host.emulate import plain
from keras_mtl.firmware_host.emulate.context import Context
from keras_mtl.firmware_host.emulate.parity import REFERENCE, probabilities
from keras_mtl.firmware_host.emulate.timing import audio_latency_s, event_numbers, real_time, seconds_note
from keras_mtl.firmware_host.report import Check, at_most
from keras_mtl.firmware_host.targets import Target
from keras_mtl.tflite.artifact import Artifact
from keras_mtl.tflite.flatbuffer import float_islands


def parameter_bytes(context: Context) -> Check | None:
    """Bytes of constants against the target's limit; None when it has none."""
    limit = context.target.parameter_bytes
    if limit is None:
        return None
    why = "bytes of all constants that operators read, from the file"
    return at_most("parameter_bytes", context.artifact.parameter_bytes, limit, "bytes", why)


def macs_per_second(context: Context) -> Check | str | None:
    """Multiply-accumulates for one second of audio against the target's limit; None when it has none."""
    limit, artifact = context.target.macs_per_second, context.artifact
    if limit is None:
        return None
    if artifact.macs_per_second is None:
        macs = artifact.network.macs
        if macs is None:
            return Check("macs_per_second", None, limit, "MAC/s", False, uncounted(artifact.network.model))
        most = f"within {limit:,} MAC/s up to {limit // macs:,} inferences a second" if macs else "none at any rate"
        return f"the file does not say how often it runs; {macs:,} MACs an inference, {most}"
    note = seconds_note(artifact)
    if artifact.streams:
        rates = artifact.manifest["calls_per_second"]
        note = f"calls a second: {', '.join(f'{name} {rates[name]:g}' for name in artifact.members)}"
    why = f"weights x positions, from the file; {note}"
    return at_most("macs_per_second", artifact.macs_per_second, limit, "MAC/s", why)


def flash_bytes(context: Context) -> Check | None:
    """Model plus an estimate of the code against what the application leaves of the flash; None for a budget."""
    target, size = context.target, context.artifact.file_bytes
    if context.plain is not None:
        return plain.flash_check(context.artifact, context.plain, target)
    if target.flash_bytes is None:
        return None
    parts, kept = code_parts(context.artifact, target), target.application_flash_bytes or 0
    others = {name: parts[name] for name in ("networks", "front end", "listener", "libc") if name in parts}
    code, kernels = sum(parts.values()), sum(parts.values()) - sum(others.values())
    whose = " (the target's)" if target.interpreter_code_bytes is not None else ""
    listed = "".join(f", {name} {part:,}" for name, part in others.items())
    why = f"model {size:,} + code about {code:,} (estimate: interpreter and {target.kernels} kernels {kernels:,}{whose}"
    return at_most("flash_bytes", size + code, target.flash_bytes - kept, "bytes", f"{why}{listed}); {kept:,} kept")


def arena_bytes(context: Context) -> Check | None:
    """The RAM that the artifact needs against what the application leaves; None for a budget.

    Of a file: the arena to give it on the device, planned with the kernels' scratch memory, and the interpreter. TFLM
    must have run it, which shows that the plan is right. Of a stream see `memory.arena_bytes`.
    """
    limit, target, arena = arena_limit_bytes(context.target), context.target, context.arena
    if context.plain is not None:
        return plain.memory_check(context.plain, target)
    if limit is None:
        return None
    if context.memory and arena:
        return stream_memory.arena_bytes(arena, context.memory, target)
    tflm, planned = context.tflm, stream_memory.planned(arena)
    if tflm is None or tflm.arena_bytes is None:
        why = f"not measured: TFLM did not run the file{planned}"
        return Check("arena_bytes", None, limit, "bytes", False, why)
    measured = f"measured by TFLM on the host {tflm.arena_bytes:,}{planned}"
    kept = f"of {target.arena_ram_bytes:,} the application keeps {target.application_ram_bytes or 0:,}"
    if arena is None:
        return at_most("arena_bytes", tflm.arena_bytes, limit, "bytes", f"{measured}, not planned; {kept}")
    device = arena["device"]
    why = f"{stream_memory.device_words(device)}; {measured}; {kept}"
    return at_most("arena_bytes", device["arena_bytes"] + device["interpreter_bytes"], limit, "bytes", why)


def arena_limit_bytes(target: Target) -> int | None:
    """The most that arena and interpreter may take: what the application leaves; None for a budget."""
    return None if target.arena_ram_bytes is None else target.arena_ram_bytes - (target.application_ram_bytes or 0)


def ops_supported(context: Context) -> Check | None:
    """Whether TensorFlow Lite Micro and the target's kernel family take every operator; None for a budget."""
    if not context.target.is_board:
        return None
    tflm = context.tflm
    blocking = [finding for finding in context.findings if finding.severity == "blocks"]
    refused = [finding.sentence() for finding in blocking]
    # What blocks in every TFLM is why the interpreter was not run: once in the list is enough.
    if (tflm is None or not tflm.ran) and not any(finding.where == "tflm" for finding in blocking):
        refused.append(tflm.reason if tflm else "tflm was not run")
    names = sorted({row.op for row in context.rows})
    why = "; ".join(refused) or f"TFLM ran all {len(context.rows)} operators ({', '.join(names)})"
    problems = len(refused) - len(blocking) + sum(finding.count for finding in blocking)
    return Check("ops_supported", problems, 0, "problems", not refused, why)


def integer_only(context: Context) -> Check | None:
    """Whether integer files are such from input to output; None for a float file."""
    if not context.integer:
        return None
    islands = [
        f"{f'{name}: ' if name else ''}{island.op} ({island.tensors[0]})"
        for name, model in context.members.items()
        for island in float_islands(model)
    ]
    why = "no floating-point tensor" + (" in any member" if context.artifact.streams else "")
    if islands:
        why = f"floating point in {', '.join(islands[:3])}{', ...' if len(islands) > 3 else ''}"
    return Check("integer_only", len(islands), 0, "operators", not islands, why)


def parity_lsb(context: Context) -> Check | str | None:
    """Difference of outputs, or logits, of the results that decide (`Parity.decided_by`); of a state, the larger one.

    None for a stream without scenes, and where the target needs no comparison and there is nothing to compare.
    """
    artifact, target, ran = context.artifact, context.target, list(context.runs)
    if artifact.streams and not artifact.wiring.scene_head:
        return None
    kinds = ("scenes",) if artifact.streams else ("outputs", "in_a_row")
    made = [_parity_of(context, kind) for kind in kinds if kind in context.parities]
    if not made and ran:
        return f"only {ran[0]} ran: nothing to compare with" if target.is_board else None
    if not made:
        return Check("parity_lsb", None, target.parity_lsb, "LSB", False, f"no engine could run {_word(artifact)}")
    refused = [check for check in made if isinstance(check, Check) and not check.ok]
    undecided = [check for check in made if isinstance(check, str)]
    passed = sorted((check for check in made if isinstance(check, Check)), key=lambda check: -(check.value or 0))
    ranked: list[Check | str] = [*refused, *undecided, *passed]
    return ranked[0]


def _parity_of(context: Context, kind: str) -> Check | str:
    """The check of one kind of outputs."""
    artifact, target, parity = context.artifact, context.target, context.parities[kind]
    limit, wrong = target.parity_lsb, context.wrong_kernels
    basis = "golden inputs" if artifact.golden else "random inputs"
    basis = "calls of the scene decoder" if artifact.streams else basis
    if "in_a_row" in context.parities:
        basis += " one after the other" if kind == "in_a_row" else ", a reset before each"
    pair = parity.decided_by(limit, wrong)
    if pair is None:
        listed = ", ".join(f"{name} by {lsb:g} LSB" for name, lsb in parity.left_out(limit, wrong).items())
        return f"the reference kernels did not run, or are wrong; from {parity.base} differs {listed}, {basis}"
    why = f"{pair[0]} against {pair[1]}, {parity.inputs} {basis}; ran: {', '.join(context.runs)}"
    lsb = parity.pairs.get(pair, math.inf)
    if not math.isfinite(lsb):
        why = f"not a number, or outputs of different shapes or none: {why}"
        return Check("parity_lsb", None, limit, "LSB", False, why)
    if lsb > limit:
        why += f"; allowed are the {limit:g} of parity_lsb of the target {target.name}"
    return at_most("parity_lsb", round(lsb, 3), limit, "LSB", why)


def parity_probability(context: Context) -> Check | None:
    """Largest difference of any two results' event probabilities; one that is not a number fails.

    None for an artifact whose events are not compared so.
    """
    results, limit = probabilities(context.artifact, context.runs), context.target.parity_probability
    if not results:
        return None
    ran = [name for name in results if name != REFERENCE]
    why = f"no engine could run {_word(context.artifact)}"
    if ran:
        why = f"{len(results[REFERENCE])} steps of the golden recording; ran: {', '.join(ran)}"
        flat = {name: np.ravel(np.asarray(values, np.float64)) for name, values in results.items()}
        size = flat[REFERENCE].size
        odd = next((name for name, each in flat.items() if each.size != size or not np.isfinite(each).all()), None)
        if odd is None:
            stacked = np.stack([*flat.values()])
            spread = np.ptp(stacked, axis=0)
            worst = stacked[:, int(spread.argmax())]
            one, other = ([*results][int(pick(worst))] for pick in (np.argmin, np.argmax))
            largest = round(float(spread.max()), 6)
            return at_most("parity_probability", largest, limit, "", f"{one} against {other}, {why}")
        why = f"not a number, or not as many as in the reference: {odd}, {why}"
    return Check("parity_probability", None, limit, "", False, why)


def events_differ(context: Context) -> Check | None:
    """Events of the golden recording that an engine decodes otherwise than the reference.

    None where no probabilities of events can be compared.
    """
    artifact, results = context.artifact, probabilities(context.artifact, context.runs)
    if len(results) < 2:
        return None
    numbers = event_numbers(artifact)

    def decoded(strong: np.ndarray) -> set[tuple[int, int, int]]:
        decoder = EventDecoder(strong.shape[1], **numbers)
        changes = [*decoder.push(strong), *decoder.finish()]
        return {(each.onset, each.offset, each.label) for each in changes if each.ended}

    goal = decoded(results.pop(REFERENCE))
    found = {engine: len(goal ^ decoded(strong)) for engine, strong in results.items()}
    worst = max(found, key=found.__getitem__)
    who = worst if found[worst] else "every engine"
    why = f"{who} against the reference, which has {len(goal)} events; an event that moved counts twice"
    fraction = context.target.events_differ_fraction
    limit = max(2, int(2 * fraction * len(goal))) if fraction else 0
    return at_most("events_differ", found[worst], limit, "events", why)


def features_match(context: Context) -> Check | None:
    """Whether the artifact was made for these features; None when no features were given."""
    if context.features is None:
        return None
    mine, theirs = context.artifact.facts.get("features"), context.features.to_dict()
    if not isinstance(mine, dict):
        return Check("features_match", None, 0, "settings", False, "the file has no feature settings")
    with contextlib.suppress(FeatureMismatch):  # settings that are none of ours are compared as they are
        mine = LogMelSettings.from_dict(mine).to_dict()
    differing = [key for key in sorted({*mine, *theirs}) if mine.get(key) != theirs.get(key)]
    listed = ", ".join(f"{key} {mine.get(key)} against {theirs.get(key)}" for key in differing)
    why = f"artifact against run: {listed}" if differing else "the same settings as the run's"
    return Check("features_match", len(differing), 0, "settings", not differing, why)


#: All checks, in the order of the report.
CHECKS: tuple[Callable[[Context], Check | str | None], ...] = (
    parameter_bytes,
    macs_per_second,
    flash_bytes,
    arena_bytes,
    audio_latency_s,
    real_time,
    ops_supported,
    integer_only,
    parity_lsb,
    parity_probability,
    events_differ,
    features_match,
)


def _word(artifact: Artifact) -> str:
    return "the artifact" if artifact.streams else "the file"
