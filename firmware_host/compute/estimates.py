"""How many instructions a second of audio takes on a target: an estimate, always a range, never a measured latency.

It adds up the figures of `instruction_rates`: instructions for each multiply-accumulate (MAC) by core, kernel family,
type, kind of layer and depth. On Arm cores these were measured kernel by kernel under QEMU; a range goes
15 % beyond both ends, for shapes in between. Where there is no figure it is derived and wider, and `basis` has how.

Conventions: ranges are (least, most). `load` takes one instruction for a cycle: caches, flash wait states and stalls
make it more, two instructions in a cycle (Cortex-M7, M55) less.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

from keras_mtl.firmware_host.compute.cost import OpRow
from keras_mtl.firmware_host.compute.instruction_rates import DEPTHS, PER_ELEMENT, RATES, XTENSA_CYCLES
from keras_mtl.firmware_host.targets import Target

Range = tuple[float, float]

#: Cores by what they are estimated as.
_CORES = {
    **dict.fromkeys(("cortex-m0", "cortex-m0plus", "cortex-m0+", "cortex-m1", "cortex-m23"), "m0"),
    "cortex-m3": "m3",
    **dict.fromkeys(("cortex-m4", "cortex-m4f", "cortex-m7", "cortex-m33", "cortex-m35p"), "m4"),
    **dict.fromkeys(("cortex-m52", "cortex-m55", "cortex-m85"), "m55"),
    "xtensa-lx7": "lx7",
}
#: What the figures of a core were measured on, in words.
_MEASURED_ON = {"m0": "Cortex-M0+", "m3": "Cortex-M3", "m4": "Cortex-M4 and M33", "m55": "Cortex-M55"}
_MEASURED_CORES = ("cortex-m0plus", "cortex-m0+", "cortex-m3", "cortex-m4", "cortex-m4f", "cortex-m33", "cortex-m55")
_ESPRESSIF = {
    ("esp-nn", "int8"): "cycles that Espressif publishes for single kernels on this chip (ESP-NN, README), not ours",
    (
        "esp-nn",
        "int16x8",
    ): "derived from the cycles that Espressif publishes for plain C in int8: ESP-NN has no int16 kernels",
}
_ESP_PLAIN_C = "derived from the cycles that Espressif publishes for plain C on this chip"
_DTYPES = {"int8": "int8", "int16": "int16x8"}
_KINDS = {
    "CONV_2D": "conv",
    "TRANSPOSE_CONV": "conv",
    "FULLY_CONNECTED": "dense",
    "BATCH_MATMUL": "dense",
    "DEPTHWISE_CONV_2D": "depthwise",
}
#: How far beyond the measured ends a range goes.
_BEYOND = 1.15
#: Operators without MACs were measured on a Cortex-M4 with CMSIS-NN: elsewhere, this much less and more.
_ELSEWHERE = 2.5


def estimate(
    rows: Sequence[OpRow], calls_per_second: Sequence[float] | None, target: Target
) -> tuple[dict[str, Any] | None, str]:
    """The target's work for one second of audio, or for one inference where it is not known how often they come.

    `calls_per_second`: how often the file of each row runs for one second of audio, one for each row; None: not known.
    `target`: a board; a budget has no core to estimate for.

    Returns:
        The estimate as plain values for a report (see the table in docs/cli.md), and "", or None and why there is none:
        a float file, a core without figures, MACs that the file does not give. "" for a budget.
    """
    if not target.is_board or not target.clock_hz:
        return None, ""
    core, kernels = _CORES.get(str(target.core).lower()), str(target.kernels)
    if core is None:
        return None, f"no compute estimate: no figures for the core {target.core} (there are for {', '.join(_CORES)})"
    parts: dict[tuple[str, str], list[tuple[float, Range]]] = {}
    for row, calls in zip(rows, calls_per_second or [1.0] * len(rows), strict=True):
        if row.macs is None or row.repeats is None:
            return None, f"no compute estimate: the MACs of {row.op} can't be counted"
        dtype = _DTYPES.get(row.data_dtype)
        if row.macs and dtype is None:
            return None, f"no compute estimate: no figures for {row.data_dtype} kernels ({row.op})"
        elements = row.data_elements * row.repeats
        if max(row.macs, elements) >= 1 << 63:
            return None, f"no compute estimate: the size of {row.op} is beyond all reason"
        amount, rate = _of_row(row, elements, core, kernels, str(dtype))
        if row.macs and rate is None:
            return None, f"no compute estimate: no figures for {row.op} with {kernels} on {target.core}"
        if amount and rate is not None:
            made = amount * calls * rate[0], amount * calls * rate[1]
            parts.setdefault((row.op, str(dtype)), []).append((row.macs * calls, made))
    if not parts:
        return None, "no compute estimate: the file has no MACs"
    return _summed(parts, core, target, "inference" if calls_per_second is None else "second"), ""


def overload(compute: dict[str, Any]) -> str:
    """A sentence where the estimate is more than the core has; else empty."""
    least, most = compute["load"] or (0, 0)
    if most <= 1:
        return ""
    sure = "is" if least > 1 else "may be"
    return f"that {sure} more than the core can do without pauses: predict with pauses, or take a faster board"


def compute_notes(compute: dict[str, Any] | None, none_because: str) -> list[str]:
    """The notes of a report: why there is no estimate, or that it is more than the core has."""
    if compute is None or not overload(compute):
        return [none_because] if none_because else []
    least, most = compute["load"]
    return [f"the compute estimate is {least:.0%} to {most:.0%} of the clock; {overload(compute)}"]


def _of_row(row: OpRow, elements: int, core: str, kernels: str, dtype: str) -> tuple[int, Range | None]:
    """What is counted of a row (MACs, or elements of its input), and the instructions for one of it."""
    if not row.macs:
        measured = PER_ELEMENT.get((row.op, dtype))
        here = _BEYOND if (core, kernels) == ("m4", "cmsis-nn") else _ELSEWHERE
        return elements, None if measured is None else (measured[0] / here, measured[1] * here)
    if core == "lx7":
        return row.macs, XTENSA_CYCLES.get((kernels, dtype))
    # Plain C does not use Helium: a Cortex-M55 runs it as a Cortex-M4 does.
    cells = RATES.get((core, kernels, dtype)) or (RATES.get(("m4", kernels, dtype)) if core == "m55" else None)
    kind = _KINDS.get(row.op)
    if cells is None or kind is None:
        return row.macs, None
    depth = row.macs // max(1, row.repeats or 1) // max(1, math.prod(row.output_shape))
    column = 0 if kind == "depthwise" else sum(depth > end for end in DEPTHS)
    least, most = cells[kind][column]
    return row.macs, (least / _BEYOND, most * _BEYOND)


def _summed(
    parts: dict[tuple[str, str], list[tuple[float, Range]]], core: str, target: Target, per: str
) -> dict[str, Any]:
    listed: list[dict[str, Any]] = []
    for (op, dtype), rows in parts.items():
        part = {"op": op, "dtype": dtype, f"macs_per_{per}": round(sum(macs for macs, _ in rows))}
        listed.append({**part, f"instructions_per_{per}": _total(made for _, made in rows)})
    total = _total(part[f"instructions_per_{per}"] for part in listed)
    macs, clock_hz = sum(part[f"macs_per_{per}"] for part in listed), target.clock_hz or 0
    # Without MACs a type has only operators that were not measured as that type's kernels.
    dtypes = {part["dtype"] for part in listed if part[f"macs_per_{per}"]} or {part["dtype"] for part in listed}
    return {
        "core": target.core,
        "kernels": target.kernels,
        "dtype": " and ".join(sorted(dtypes, key=len)),
        "instructions_per_mac": [round(end / macs, 2) for end in total] if macs else None,
        "per": per,
        f"instructions_per_{per}": total,
        "clock_hz": clock_hz,
        "load": [round(end / clock_hz, 4) for end in total] if per == "second" else None,
        "basis": _basis(sorted(dtypes, key=len), core, target),
        "measured": False,
        "parts": listed,
    }


def _basis(dtypes: Sequence[str], core: str, target: Target) -> str:
    """Where the figures are from, and where they are not this core's."""
    if core == "lx7":
        plain_c = {_ESPRESSIF.get((str(target.kernels), dtype), _ESP_PLAIN_C): None for dtype in dtypes}
        return "; ".join([*plain_c, "operators without MACs: a Cortex-M4's instructions, widened"])
    source = "m4" if (core, target.kernels) == ("m55", "reference") else core
    notes = {f"instructions a MAC by layer, measured under QEMU on {_MEASURED_ON[source]}, 15 % beyond both ends": None}
    if str(target.core).lower() not in _MEASURED_CORES:
        notes[f"a {target.core} runs the same instructions; that it may do two in a cycle isn't credited"] = None
    if (core, target.kernels) != ("m4", "cmsis-nn"):
        notes["operators without MACs: a Cortex-M4's instructions, widened"] = None
    return "; ".join(notes)


def _total(ranges: Iterable[Sequence[float]]) -> list[int]:
    listed = list(ranges)
    return [round(sum(ends[0] for ends in listed)), round(sum(ends[1] for ends in listed))]
