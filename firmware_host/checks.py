"""The checks of a report, one function each. Every check says where its figure comes from or what is wrong."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Sequence
from typing import Any

from keras_mtl.errors import FeatureMismatch
from keras_mtl.features import LogMelSettings
from keras_mtl.firmware_host.arena_reserve import ARENA_RESERVE_BYTES
from keras_mtl.firmware_host.compatibility import Finding
from keras_mtl.firmware_host.cost import OpRow
from keras_mtl.firmware_host.parity import Parity
from keras_mtl.firmware_host.report import Check, EngineResult
from keras_mtl.firmware_host.target import Target
from keras_mtl.tflite.audit import float_islands

#: What answers sooner than whatever hears windows or clips.
STREAMING_SET = "a streaming set (keras_mtl convert RUN --part stream)"
#: Code of the interpreter and its kernels, measured for a small CNN on a Cortex-M: CMSIS-NN int8, strings stripped.
CMSIS_NN_CODE_BYTES = 52 * 1024
#: The same with reference kernels, built with -Os.
REFERENCE_CODE_BYTES = 35 * 1024
#: What untyped registrations add: a float model has no typed ones, so kernels of all types are linked.
UNTYPED_CODE_BYTES = 30 * 1024


def parameter_bytes(value: int, target: Target) -> Check | None:
    """Bytes of constants against the target's limit; None when it has none."""
    if target.parameter_bytes is None:
        return None
    why = "bytes of all constants that operators read, from the file"
    return at_most("parameter_bytes", value, target.parameter_bytes, "bytes", why)


def macs_per_second(value: float | None, uncounted: str, seconds_note: str, target: Target) -> Check | None:
    """Multiply-accumulates for one second of audio against the target's limit; None when it has none."""
    limit = target.macs_per_second
    if limit is None:
        return None
    if value is None:
        return Check("macs_per_second", None, limit, "MAC/s", False, uncounted)
    return at_most("macs_per_second", value, limit, "MAC/s", f"weights x positions, from the file; {seconds_note}")


def flash_bytes(file_bytes: int, integer: bool, target: Target) -> Check | None:
    """Model plus an estimate of the code against what the application leaves of the flash; None for a budget."""
    if target.flash_bytes is None:
        return None
    # ESP-NN's code was not measured: it is taken for as large as CMSIS-NN's.
    code = REFERENCE_CODE_BYTES if target.kernels == "reference" else CMSIS_NN_CODE_BYTES
    code += 0 if integer else UNTYPED_CODE_BYTES
    kept = target.application_flash_bytes or 0
    why = f"model {file_bytes:,} + interpreter and {target.kernels} kernels about {code:,} (estimate); {kept:,} kept"
    return at_most("flash_bytes", file_bytes + code, target.flash_bytes - kept, "bytes", why)


def arena_bytes(tflm: EngineResult | None, target: Target, arena: dict[str, Any] | None = None) -> Check | None:
    """The arena that TensorFlow Lite Micro used against the RAM that is free for it; None for a budget.

    `arena` is the plan, which is told beside it (see `arena_report`).
    """
    if target.arena_ram_bytes is None:
        return None
    kept = target.application_ram_bytes or 0
    limit = target.arena_ram_bytes - kept - ARENA_RESERVE_BYTES
    if tflm is None or tflm.arena_bytes is None:
        return Check(
            "arena_bytes", None, limit, "bytes", False, f"not measured: TFLM did not run the file{planned(arena)}"
        )
    why = f"measured by TFLM on the host{planned(arena)}; of {target.arena_ram_bytes:,} the application keeps {kept:,}"
    why += f" and {ARENA_RESERVE_BYTES:,} are a reserve for the device's own scratch buffers"
    return at_most("arena_bytes", tflm.arena_bytes, limit, "bytes", why)


def planned(arena: dict[str, Any] | None) -> str:
    """What the plan says, to be told beside what was measured; empty without a plan."""
    return f", planned from the file {arena['planned_bytes']:,}" if arena else ""


def audio_latency_s(seconds: float, waits_for: str, target: Target, remedies: Sequence[str]) -> Check | None:
    """How long a sound waits for the end of the audio that its result needs; None where the target has no limit.

    Args:
        seconds: the longest stretch of audio that a result needs. Computing comes on top, and is not in it.
        waits_for: what is waited for, for a person.
        target: with the longest wait that the application allows.
        remedies: what would shorten this wait, each a few words; told where it is too long.
    """
    if target.audio_latency_s is None:
        return None
    why = f"a result waits for {waits_for}; the time to compute it comes on top"
    if seconds > target.audio_latency_s:
        others = "".join(f"{remedy}, " for remedy in remedies) + ("or " if remedies else "")
        why += f". Try {others}a target file with the limit that your application has"
    return at_most("audio_latency_s", seconds, target.audio_latency_s, "s", why)


def ops_supported(
    tflm: EngineResult | None, rows: Sequence[OpRow], findings: Sequence[Finding], target: Target
) -> Check | None:
    """Whether TensorFlow Lite Micro and the target's kernel family take every operator; None for a budget."""
    if not target.is_board:
        return None
    blocking = [finding for finding in findings if finding.severity == "blocks"]
    refused = [finding.sentence() for finding in blocking]
    # What blocks in every TFLM is why the interpreter here was not asked: it need not be said twice.
    if (tflm is None or not tflm.ran) and not any(finding.where == "tflm" for finding in blocking):
        refused.append(tflm.reason if tflm else "tflm was not run")
    names = sorted({row.op for row in rows})
    why = "; ".join(refused) or f"TFLM ran all {len(rows)} operators ({', '.join(names)})"
    problems = len(refused) - len(blocking) + sum(finding.count for finding in blocking)
    return Check("ops_supported", problems, 0, "problems", not refused, why)


def integer_only(model: Any, integer: bool) -> Check | None:
    """Whether an integer file is one from input to output; None for a float file, which says that it is not."""
    if not integer:
        return None
    islands = float_islands(model)
    listed = ", ".join(f"{island.op} ({island.tensors[0]})" for island in islands[:3])
    why = f"floating point in {listed}{', ...' if len(islands) > 3 else ''}" if islands else "no floating-point tensor"
    return Check("integer_only", len(islands), 0, "operators", not islands, why)


def parity_lsb(parity: Parity | None, engines: Sequence[EngineResult], basis: str, target: Target) -> Check | None:
    """Largest difference between engines; None where the target needs none and there is nothing to compare."""
    ran = [engine.engine for engine in engines if engine.ran]
    if parity is None:
        if ran and not target.is_board:
            return None
        why = f"only {ran[0]} ran: nothing to compare with" if ran else "no engine could run the file"
        return Check("parity_lsb", None, target.parity_lsb, "LSB", False, why)
    why = f"{parity.pair[0]} against {parity.pair[1]}, {parity.inputs} {basis}; ran: {', '.join(ran)}"
    if not math.isfinite(parity.largest_lsb):
        return Check(
            "parity_lsb",
            None,
            target.parity_lsb,
            "LSB",
            False,
            f"not a number, or outputs of different shapes or none: {why}",
        )
    return at_most("parity_lsb", round(parity.largest_lsb, 3), target.parity_lsb, "LSB", why)


def features_match(manifest: dict[str, Any], features: LogMelSettings | None) -> Check | None:
    """Whether the artifact was made for these features; None when no features were given."""
    if features is None:
        return None
    mine, theirs = manifest.get("features"), features.to_dict()
    if not isinstance(mine, dict):
        return Check("features_match", None, 0, "settings", False, "the file does not say which features it takes")
    with contextlib.suppress(FeatureMismatch):  # settings that are none of ours are compared as they are
        mine = LogMelSettings.from_dict(mine).to_dict()
    differing = [key for key in sorted({*mine, *theirs}) if mine.get(key) != theirs.get(key)]
    listed = ", ".join(f"{key} {mine.get(key)} against {theirs.get(key)}" for key in differing)
    why = f"artifact against run: {listed}" if differing else "the same settings as the run's"
    return Check("features_match", len(differing), 0, "settings", not differing, why)


def at_most(name: str, value: float, limit: float, unit: str, why: str) -> Check:
    """A check of a value that may be the limit at most."""
    ok = value <= limit
    return Check(name, value, limit, unit, ok, why if ok else f"{value:,} {unit} is over {limit:,}: {why}")
