"""Instructions and cycles of one operator on a target: a range each, or none where nothing was measured.

Instructions are those of `instruction_rates`. Arm's were measured kernel by kernel under QEMU; a range goes 15 % beyond
both ends, for shapes in between. Cycles are those of a chip where one was measured (`cycle_rates.MEASURED`), else
the instructions by what one of them takes on the core.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from keras_mtl.firmware_host.compute.cores import CORES, core_of
from keras_mtl.firmware_host.compute.cost import OpRow
from keras_mtl.firmware_host.compute.cycle_rates import BUILDS, MEASURED, PER_INSTRUCTION, Cycles, Range
from keras_mtl.firmware_host.compute.instruction_rates import DEPTHS, PER_ELEMENT, RATES, Cells
from keras_mtl.firmware_host.targets import Target

DTYPES = {"int8": "int8", "int16": "int16x8"}
_KINDS = {
    "CONV_2D": "conv",
    "TRANSPOSE_CONV": "conv",
    "FULLY_CONNECTED": "dense",
    "BATCH_MATMUL": "dense",
    "DEPTHWISE_CONV_2D": "depthwise",
}
#: How far beyond the measured ends a range goes.
_BEYOND = (1 / 1.15, 1.15)
#: Operators without MACs were measured on a Cortex-M4 with CMSIS-NN. An M55 runs these instructions, too, so it takes
#: no more of them; elsewhere it is this much less and more.
_ON_AN_M55, _ELSEWHERE = (1 / 2.5, 1.15), (1 / 2.5, 2.5)
_MOST = 1 << 63


@dataclass(frozen=True)
class Work:
    """What one inference takes of an operator.

    Attributes:
        instructions: least and most; None where none were counted.
        cycles: the same; None where no chip was measured and nothing stands for it.
    """

    instructions: Range | None
    cycles: Range | None


def measured_cycles(target: Target, dtype: str) -> Cycles | None:
    """The cycles that were measured for the target's core, library and build; None where none were."""
    return MEASURED.get((core_of(target).pipeline, str(target.kernels), target.kernels_build or "-O2", dtype))


def cycles_per_instruction(target: Target) -> Range | None:
    """Cycles for an instruction of -O2 on the target's core; None where that is not known for its build."""
    known, build = PER_INSTRUCTION.get(core_of(target).pipeline), BUILDS.get(target.kernels_build or "-O2")
    return None if known is None or build is None else times(known[0], (build[0], build[0]))


def work_of(row: OpRow, target: Target) -> Work | str:
    """What one inference takes of a row of a file; or, as a text, why that can't be said."""
    dtype, core = DTYPES.get(row.data_dtype), core_of(target).instructions
    if not core:
        return f"no figures for the core {target.core} (there are for {', '.join(CORES)})"
    if row.macs is None or row.repeats is None:
        return f"the MACs of {row.op} can't be counted"
    if row.macs and dtype is None:
        return f"no figures for {row.data_dtype} kernels ({row.op})"
    if max(row.macs, row.data_elements * row.repeats) >= _MOST:
        return f"the size of {row.op} is beyond all reason"
    instructions = _instructions(row, core, str(target.kernels), str(dtype))
    cycles = _cycles(row, target, str(dtype), instructions)
    if row.macs and instructions is None and cycles is None:
        return f"no figures for {row.op} with {target.kernels} on {target.core}"
    return Work(None if core == "xtensa" else instructions, cycles)


def times(ends: Range, by: Range) -> Range:
    """A range by another one."""
    return ends[0] * by[0], ends[1] * by[1]


def _instructions(row: OpRow, core: str, kernels: str, dtype: str) -> Range | None:
    if not row.macs:
        rate = PER_ELEMENT.get((row.op, dtype))
        here = _BEYOND if (core, kernels) == ("m4", "cmsis-nn") else _ON_AN_M55 if core == "m55" else _ELSEWHERE
        elements = float(row.data_elements * (row.repeats or 1))
        return (0.0, 0.0) if rate is None else times((elements, elements), times(rate, here))
    # Plain C does not use Helium: a Cortex-M55 runs it as a Cortex-M4 does.
    cells = RATES.get((core, kernels, dtype)) or (RATES.get(("m4", kernels, dtype)) if core == "m55" else None)
    if core == "xtensa" and kernels in ("esp-nn", "reference"):
        cells = RATES[("m4", "reference", dtype)]
    kind = _KINDS.get(row.op)
    if cells is None or kind is None:
        return None
    return times((row.macs, row.macs), times(cells[kind][_column(row, kind, cells)], _BEYOND))


def _cycles(row: OpRow, target: Target, dtype: str, instructions: Range | None) -> Range | None:
    found, entry, each = None, measured_cycles(target, dtype), cycles_per_instruction(target)
    if row.macs and entry:
        kind = _KINDS.get(row.op)
        cells = {"conv": entry.conv, "dense": entry.dense, "depthwise": (entry.depthwise,)}
        found = kind and times((row.macs, row.macs), cells[kind][_column(row, kind, cells)])
    elif entry and entry.elements is None:
        found = (0.0, 0.0)  # what was measured whole has all operators in its MACs
    elif entry and entry.elements and row.op in entry.elements:
        elements = float(row.data_elements * (row.repeats or 1))
        found = times((elements, elements), entry.elements[row.op])
    if not found and instructions is not None and each is not None:
        found = times(instructions, each)
    if not found:
        return None
    operator = entry.operator if entry else (0.0, 0.0)
    waits = target.flash_cycles_per_byte if row.macs and target.flash_cycles_per_byte else (0.0, 0.0)
    repeats = row.repeats or 1
    least, most = (found[i] + repeats * (operator[i] + row.weight_bytes * waits[i]) for i in (0, 1))
    return least, most


def _column(row: OpRow, kind: str, cells: dict[str, Cells]) -> int:
    """The column of a table by depth: MACs that add up to one output."""
    depth = (row.macs or 0) // max(1, row.repeats or 1) // max(1, math.prod(row.output_shape))
    return 0 if len(cells[kind]) == 1 or kind == "depthwise" else sum(depth > end for end in DEPTHS)
