"""How many instructions a second of audio takes on a target: an estimate, always a range, never a measured latency.

The figures are instructions for each multiply-accumulate (MAC), by core, kernel family and type. Those of the
Cortex-M4 and M55 were measured: a small CNN (convolution 3x3, depthwise, 1x1, mean, dense, softmax; 1,510,720 MACs)
in TensorFlow Lite Micro of August 2026, built with -O2, under QEMU, which counts instructions and not cycles. The
others are derived, in wider ranges, and each says from what. Operators without MACs are not counted, but for MEAN.

Conventions: ranges are (least, most). `load` takes one instruction for a cycle: caches, flash wait states and stalls
make it more, two instructions in a cycle (Cortex-M7, M55) less.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from keras_mtl.firmware_host.cost import OpRow
from keras_mtl.firmware_host.target import Target

Range = tuple[float, float]


@dataclass(frozen=True)
class _Rate:
    """Instructions for one MAC (or one element, of MEAN), and where the range comes from."""

    least: float
    most: float
    basis: str


_MEASURED = "measured under QEMU on a small CNN"
_MEASURED_M4 = f"{_MEASURED} on a Cortex-M4"
_MEASURED_M55 = f"{_MEASURED} on a Cortex-M55"
_M4_REFERENCE = "measured under QEMU on one small CNN ({} on a Cortex-M4), a quarter less and more for other networks"
_AS_M4 = "this core has the Cortex-M4's DSP instructions, and that it may do two instructions in a cycle isn't credited"
_PLAIN_C = "derived: CMSIS-NN's portable C (no DSP instructions here); a Cortex-M4's reference kernels ({}) to twice"
_ESPRESSIF = "cycles, not instructions, that Espressif publishes for single kernels on this chip (ESP-NN, README)"
_ESP_PLAIN = (
    "derived: ESP-NN has no int16 kernels; Espressif's cycles for plain C in int8 on this chip (10 to 35), "
    "by 1.25 for int16 as on a Cortex-M4, and twice that at most for TFLM's reference kernels"
)
_ESP_REFERENCE = "derived: Espressif's cycles for plain C in int8 on this chip (10 to 35) to twice"
_RATES = {
    ("m4", "cmsis-nn", "int8"): _Rate(6.3, 7.4, _MEASURED_M4),
    ("m4", "cmsis-nn", "int16x8"): _Rate(8, 12, _MEASURED_M4),
    ("m4", "reference", "int8"): _Rate(24, 40, _M4_REFERENCE.format(32)),
    ("m4", "reference", "int16x8"): _Rate(30, 50, _M4_REFERENCE.format(40)),
    ("m55", "cmsis-nn", "int8"): _Rate(2.2, 3.3, _MEASURED_M55),
    ("m55", "cmsis-nn", "int16x8"): _Rate(4.3, 8.9, _MEASURED_M55),
    ("m0", "cmsis-nn", "int8"): _Rate(32, 64, _PLAIN_C.format(32)),
    ("m0", "cmsis-nn", "int16x8"): _Rate(40, 100, _PLAIN_C.format(40) + " and a half: 64-bit sums on a 32-bit core"),
    ("m0", "reference", "int8"): _Rate(32, 80, "derived: a Cortex-M4's reference kernels (32) to two and a half times"),
    ("m0", "reference", "int16x8"): _Rate(40, 120, "derived: a Cortex-M4's reference kernels (40) to three times"),
    ("lx7", "esp-nn", "int8"): _Rate(0.8, 6.4, _ESPRESSIF),
    ("lx7", "esp-nn", "int16x8"): _Rate(13, 88, _ESP_PLAIN),
    ("lx7", "reference", "int8"): _Rate(10, 70, _ESP_REFERENCE),
    ("lx7", "reference", "int16x8"): _Rate(13, 88, _ESP_PLAIN),
}
#: Cores by what they are estimated as. A core that only has plain C is estimated as the Cortex-M0+.
_CORES = {
    **dict.fromkeys(("cortex-m0", "cortex-m0plus", "cortex-m0+", "cortex-m1", "cortex-m3", "cortex-m23"), "m0"),
    **dict.fromkeys(("cortex-m4", "cortex-m4f", "cortex-m7", "cortex-m33", "cortex-m35p"), "m4"),
    **dict.fromkeys(("cortex-m52", "cortex-m55", "cortex-m85"), "m55"),
    "xtensa-lx7": "lx7",
}
_MEASURED_CORES = ("cortex-m4", "cortex-m4f")
#: For one input element of MEAN, which no family here has a kernel for.
_MEAN = _Rate(130, 130, "MEAN: 130 instructions an element, measured on a Cortex-M4 (reference kernel)")
_MEAN_ELSEWHERE = _Rate(
    130, 260, "MEAN: derived, a Cortex-M4's 130 instructions an element to twice (reference kernel)"
)
#: An int16x8 depthwise convolution took 3.9 times the instructions of the same layer in int8, by scalar code.
_SLOW_DEPTHWISE = _Rate(
    3.9 * 6.3, 3.9 * 7.4, "int16x8 DEPTHWISE_CONV_2D: 3.9 times int8 on a Cortex-M4, measured (generic path)"
)
_DTYPES = {"int8": "int8", "int16": "int16x8"}


def estimate(
    rows: Sequence[OpRow], calls_per_second: Sequence[float], target: Target
) -> tuple[dict[str, Any] | None, str]:
    """The target's work for one second of audio.

    Args:
        rows: the operators of all files.
        calls_per_second: how often the file of each row runs for one second of audio, one for each row.
        target: a board; a budget has no core to estimate for.

    Returns:
        The estimate as plain values for a report (see the table in docs/cli.md), and "", or None and why there is none:
        a float file, a core without figures, MACs that the file does not tell. "" for a budget.
    """
    if not target.is_board or not target.clock_hz:
        return None, ""
    core = _CORES.get(str(target.core).lower())
    if core is None:
        return None, f"no compute estimate: no figures for the core {target.core} (there are for {', '.join(_CORES)})"
    parts: dict[tuple[str, str], list[tuple[float, float, _Rate]]] = {}
    for row, calls in zip(rows, calls_per_second, strict=True):
        if row.macs is None or row.repeats is None:
            return None, f"no compute estimate: the MACs of {row.op} can't be counted"
        amount = row.macs if row.op != "MEAN" else sum(map(math.prod, row.input_shapes[:1])) * row.repeats
        if not amount:
            continue
        if amount >= 1 << 63:
            return None, f"no compute estimate: the size of {row.op} is beyond all reason"
        dtype = _DTYPES.get(row.input_dtypes[0])
        if dtype is None:
            return None, f"no compute estimate: no figures for {row.input_dtypes[0]} kernels ({row.op})"
        rate = _rate(row.op, core, str(target.kernels), dtype)
        if rate is None:
            return None, f"no compute estimate: no figures for {target.kernels} on {target.core}"
        parts.setdefault((row.op, dtype), []).append((row.macs * calls, amount * calls, rate))
    return (_summed(parts, target), "") if parts else (None, "no compute estimate: the file has no MACs")


def overload(compute: dict[str, Any]) -> str:
    """What to say where the estimate is more than the core has; empty where it is not.

    Args:
        compute: an estimate, as `estimate` gives it.
    """
    least, most = compute["load"]
    if most <= 1:
        return ""
    sure = "is" if least > 1 else "may be"
    return f"that {sure} more than the core can do without pauses: hear with pauses, or take a faster board"


def compute_notes(compute: dict[str, Any] | None, none_because: str) -> list[str]:
    """The notes of a report: why there is no estimate, or that it is more than the core has.

    Args:
        compute: the estimate, or None.
        none_because: why there is none.
    """
    if compute is None or not overload(compute):
        return [none_because] if none_because else []
    least, most = compute["load"]
    return [f"the compute estimate is {least:.0%} to {most:.0%} of the clock; {overload(compute)}"]


def _rate(op: str, core: str, kernels: str, dtype: str) -> _Rate | None:
    if op == "MEAN":
        return _MEAN if core in ("m4", "m55") else _MEAN_ELSEWHERE
    if op == "DEPTHWISE_CONV_2D" and dtype == "int16x8" and kernels == "cmsis-nn" and core != "m0":
        return _SLOW_DEPTHWISE
    # Scalar C does not use Helium: a Cortex-M55 runs it as a Cortex-M4 does.
    return _RATES.get((core, kernels, dtype)) or _RATES.get(("m4" if core == "m55" else core, kernels, dtype))


def _summed(parts: dict[tuple[str, str], list[tuple[float, float, _Rate]]], target: Target) -> dict[str, Any]:
    listed: list[dict[str, Any]] = []
    rates: list[tuple[_Rate, str]] = []
    for (op, dtype), amounts in parts.items():
        made = _total((amount * rate.least, amount * rate.most) for _, amount, rate in amounts)
        macs = sum(macs for macs, _, _ in amounts)
        listed.append(
            {"op": op, "dtype": dtype, "macs_per_second": round(macs), "instructions_per_second": _whole(made)}
        )
        rates += [(rate, dtype) for _, _, rate in amounts]
    total = _total((made[0], made[1]) for made in (part["instructions_per_second"] for part in listed))
    macs = sum(part["macs_per_second"] for part in listed)
    clock_hz = target.clock_hz or 0
    return {
        "core": target.core,
        "kernels": target.kernels,
        "dtype": " and ".join(sorted({str(part["dtype"]) for part in listed}, key=len)),
        "instructions_per_mac": [round(end / macs, 2) for end in total] if macs else None,
        "instructions_per_second": _whole(total),
        "clock_hz": clock_hz,
        "load": [round(end / clock_hz, 4) for end in total],
        "basis": _basis(rates, str(target.core).lower()),
        "measured": False,
        "parts": listed,
    }


def _basis(rates: Iterable[tuple[_Rate, str]], core: str) -> str:
    """Each figure that was used once, with where it comes from; figures of one source side by side."""
    figures: dict[str, list[str]] = {}
    special = []
    for rate, dtype in dict.fromkeys(rates):
        if rate in (_MEAN, _MEAN_ELSEWHERE, _SLOW_DEPTHWISE):
            special.append(rate.basis)
        else:
            figures.setdefault(rate.basis, []).append(f"{dtype} {rate.least:g} to {rate.most:g} a MAC")
    said = [f"{', '.join(listed)}: {basis}" for basis, listed in figures.items()]
    borrowed = [_AS_M4] if figures and _CORES[core] == "m4" and core not in _MEASURED_CORES else []
    return "; ".join([*said, *borrowed, *dict.fromkeys(special)])


def _total(ranges: Iterable[Range]) -> Range:
    listed = list(ranges)
    return sum(least for least, _ in listed), sum(most for _, most in listed)


def _whole(ends: Range) -> list[int]:
    return [round(end) for end in ends]
