"""How much of a target's core an artifact takes: instructions and cycles of a second of audio, always as ranges.

It adds up what `row_rates` has for each operator and, of an artifact that takes audio, what is around the networks.
Neither is ever a measured latency of the file in question. `load` is cycles over the clock.

Conventions: ranges are (least, most).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from keras_mtl.firmware_host.compute.around import Around
from keras_mtl.firmware_host.compute.cores import core_of
from keras_mtl.firmware_host.compute.cost import OpRow
from keras_mtl.firmware_host.compute.cycle_rates import BUILDS, PER_INSTRUCTION, Range
from keras_mtl.firmware_host.compute.row_rates import (
    DTYPES,
    Work,
    cycles_per_instruction,
    measured_cycles,
    times,
    work_of,
)
from keras_mtl.firmware_host.targets import Target

#: What the instructions of a core were counted on, in words.
_MEASURED_ON = {"m0": "Cortex-M0+", "m3": "Cortex-M3", "m4": "Cortex-M4 and M33", "m55": "Cortex-M55"}
_MEASURED_CORES = ("cortex-m0plus", "cortex-m0+", "cortex-m3", "cortex-m4", "cortex-m4f", "cortex-m33", "cortex-m55")


def estimate(
    rows: Sequence[OpRow],
    calls_per_second: Sequence[float] | None,
    target: Target,
    around: Sequence[Around] = (),
) -> tuple[dict[str, Any] | None, str]:
    """The target's work for one second of audio, or for one inference where it is not known how often they come.

    `calls_per_second`: how often the file of each row runs for one second of audio, one for each row; None: not known.
    `target`: a board; a budget has no core to estimate for.
    `around`: what an artifact takes beside its networks for a second of audio.

    Returns:
        The estimate as plain values for a report (see the table in docs/cli.md), and "", or None and why there is none:
        a float file, a core without figures, MACs that the file does not give. "" for a budget.
    """
    if not target.is_board or not target.clock_hz:
        return None, ""
    parts: dict[tuple[str, str], list[tuple[float, Range | None, Range | None]]] = {}
    for row, calls in zip(rows, calls_per_second or [1.0] * len(rows), strict=True):
        work = work_of(row, target)
        if isinstance(work, str):
            return None, f"no compute estimate: {work}"
        if row.macs or any(work.instructions or ()) or any(work.cycles or ()):
            part = parts.setdefault((row.op, DTYPES.get(row.data_dtype, row.data_dtype)), [])
            part.append(((row.macs or 0) * calls, *_by(work, calls)))
    if not any(macs for part in parts.values() for macs, *_ in part) and not _counted(parts):
        return None, "no compute estimate: the file has no MACs"
    return _summed(parts, target, "inference" if calls_per_second is None else "second", around), ""


def _by(work: Work, calls: float) -> tuple[Range | None, Range | None]:
    both = (work.instructions, work.cycles)
    first, second = (None if ends is None else times(ends, (calls, calls)) for ends in both)
    return first, second


def _counted(parts: dict[tuple[str, str], list[tuple[float, Range | None, Range | None]]]) -> bool:
    """Whether anything is counted by elements: an operator's call alone is no estimate."""
    return any(ends is not None and any(ends) for part in parts.values() for _, ends, _ in part)


def _summed(
    parts: dict[tuple[str, str], list[tuple[float, Range | None, Range | None]]],
    target: Target,
    per: str,
    around: Sequence[Around],
) -> dict[str, Any]:
    listed: list[dict[str, Any]] = []
    for (op, dtype), rows in parts.items():
        part = {"op": op, "dtype": dtype, f"macs_per_{per}": round(sum(macs for macs, *_ in rows))}
        part[f"instructions_per_{per}"] = _total(made for _, made, _ in rows)
        listed.append({**part, f"cycles_per_{per}": _total(made for *_, made in rows)})
    instructions, cycles = (_total(part[f"{what}_per_{per}"] for part in listed) for what in ("instructions", "cycles"))
    macs, clock_hz = sum(part[f"macs_per_{per}"] for part in listed), target.clock_hz or 0
    # Without MACs a type has only operators that were not measured as that type's kernels.
    dtypes = {part["dtype"] for part in listed if part[f"macs_per_{per}"]} or {part["dtype"] for part in listed}
    ordered = sorted(dtypes, key=len)
    beside = _beside(around, target) if per == "second" else []
    whole = _total([cycles, *(part["cycles_per_second"] for part in beside)])
    return {
        "core": target.core,
        "kernels": target.kernels,
        "library": target.library,
        "dtype": " and ".join(ordered),
        "instructions_per_mac": _for_each(instructions, macs),
        "cycles_per_mac": _for_each(cycles, macs),
        "per": per,
        f"instructions_per_{per}": instructions,
        f"cycles_per_{per}": cycles,
        "clock_hz": clock_hz,
        "load": [round(end / clock_hz, 4) for end in whole] if per == "second" and whole else None,
        "basis": _basis(target, instructions),
        "cycles_basis": _cycles_basis(target, ordered) if cycles else None,
        "measured": False,
        "parts": listed,
        "around": beside,
    }


def _for_each(total: list[int] | None, macs: float) -> list[float] | None:
    return [round(end / macs, 2) for end in total] if macs and total else None


def _beside(around: Sequence[Around], target: Target) -> list[dict[str, Any]]:
    """What is around the networks, as plain values."""
    each, found = cycles_per_instruction(target), []
    for part in around:
        cycles = None if part.instructions is None or each is None else times(part.instructions, each)
        ends = [None if one is None else [round(end) for end in one] for one in (part.instructions, cycles)]
        values = {"name": part.name, "instructions_per_second": ends[0], "cycles_per_second": ends[1]}
        found.append({**values, "basis": part.basis})
    return found


def _basis(target: Target, instructions: list[int] | None) -> str:
    """Where the instructions are from, and where they are not this core's."""
    core = core_of(target).instructions
    if instructions is None:
        return f"instructions of {target.library} on a {target.core} were not counted"
    source = "m4" if (core, target.kernels) == ("m55", "reference") else core
    notes = [f"instructions a MAC by layer, measured under QEMU on {_MEASURED_ON[source]}, 15 % beyond both ends"]
    if str(target.core).lower() not in _MEASURED_CORES:
        notes.append(f"a {target.core} runs the same instructions")
    if (core, target.kernels) != ("m4", "cmsis-nn"):
        notes.append("operators without MACs: a Cortex-M4's instructions, widened")
    return "; ".join(notes)


def _cycles_basis(target: Target, dtypes: Sequence[str]) -> str:
    """Where the cycles are from, type by type."""
    found: dict[str, list[str]] = {}
    for dtype in dtypes:
        entry = measured_cycles(target, dtype)
        source = entry.source if entry else PER_INSTRUCTION[core_of(target).pipeline][1]
        build = "" if entry else BUILDS[target.kernels_build or "-O2"][1]
        found.setdefault("; ".join(filter(None, (source, build))), []).append(dtype)
    words = [f"{' and '.join(types)} {source}" if len(found) > 1 else source for source, types in found.items()]
    if target.flash_cycles_per_byte:
        least, most = target.flash_cycles_per_byte
        words.append(
            f"each weight comes once a call from a flash outside the chip, {least:g} to {most:g} cycles a byte"
        )
    return "; ".join(words)


def _total(ranges: Iterable[Sequence[float] | None]) -> list[int] | None:
    listed = list(ranges)
    known = [ends for ends in listed if ends is not None]
    if len(known) < len(listed):
        return None
    return [round(sum(ends[0] for ends in known)), round(sum(ends[1] for ends in known))]
