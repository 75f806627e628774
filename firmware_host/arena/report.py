"""The arena of a report (the plan beside what the interpreter measured), and its size on a device."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from keras_mtl.firmware_host.arena.plan import ArenaPlan, plan_arena
from keras_mtl.firmware_host.compute import OpRow
from keras_mtl.firmware_host.targets import Target
from keras_mtl.tflite.artifact import Member

_NAMED = 3
#: TensorFlow Lite Micro aligns its arena to this.
_ALIGNMENT_BYTES = 16
#: Operators for which CMSIS-NN asks for scratch buffers; of dense layers only those of 8 bits.
_WITH_SCRATCH = {
    "AVERAGE_POOL_2D",
    "BATCH_MATMUL",
    "CONV_2D",
    "DEPTHWISE_CONV_2D",
    "SVDF",
    "TRANSPOSE_CONV",
    "UNIDIRECTIONAL_SEQUENCE_LSTM",
}


def arena_of(model: Any, measured_bytes: int | None) -> dict[str, Any]:
    """The arena of one file.

    Operators are numbered in the order in which they run, those of loops in their place. In a file without loops these
    are the numbers of the report's rows.

    `measured_bytes`: what TensorFlow Lite Micro used; None where it did not run.

    Returns:
        `planned_bytes` and `measured_bytes` (on this host), `planned_32bit_bytes` (on a device, reference kernels),
        `activations_bytes` (laid out), `activations_peak_bytes` (alive at once), `persistent_bytes` and
        `persistent_parts`, `peak_operator`, `operators`: [{"op", "name"}], `tensors`: [{"name", "kind", "bytes",
        "offset", "first_operator", "last_operator"}], `timeline` (bytes alive at each operator), `explained`,
        `assumed_operators` (whose kernels are not known).

    Raises:
        ArtifactError: a file that can't be planned.
    """
    plan = plan_arena(model)
    timeline = plan.timeline()[1:]
    peak = timeline.index(max(timeline)) if timeline else None
    return {
        "planned_bytes": plan.planned_bytes,
        "measured_bytes": measured_bytes,
        "planned_32bit_bytes": plan.device_bytes,
        "activations_bytes": plan.activations_bytes,
        "activations_peak_bytes": max(timeline, default=0),
        "persistent_bytes": plan.persistent_bytes,
        "persistent_parts": plan.kept,
        "peak_operator": peak,
        "operators": [{"op": step.op, "name": step.name} for step in plan.steps[1:]],
        "tensors": [
            {
                "name": block.name,
                "kind": block.kind,
                "bytes": block.size_bytes,
                "offset": block.offset,
                "first_operator": max(0, block.first - 1),
                "last_operator": max(0, block.last - 1),
            }
            for block in plan.blocks
            if block.first >= 0
        ],
        "timeline": timeline,
        "explained": _explained(plan, peak),
        "assumed_operators": list(plan.assumed),
    }


def arena_of_members(members: Mapping[str, Member], measured: Mapping[str, int | None]) -> dict[str, Any]:
    """The arenas of files that work together, each with its own.

    Args:
        members: each file by its name.
        measured: what was measured for each; a name that is missing was not.

    Returns:
        The keys of `arena_of` that add up: sums of bytes, except that `activations_peak_bytes` is that of the member
        with the largest; `peak_operator` is the number of its operator, `peak_member` its name. `members` holds the
        arena of each, and `shared_bytes` is what they need on this host if activations share their memory.
    """
    arenas = {name: arena_of(member.model, measured.get(name)) for name, member in members.items()}
    largest = max(arenas, key=lambda name: arenas[name]["activations_peak_bytes"])
    sizes = [arena["measured_bytes"] for arena in arenas.values()]
    found: dict[str, Any] = {
        key: sum(arena[key] for arena in arenas.values())
        for key in ("planned_bytes", "planned_32bit_bytes", "persistent_bytes")
    }
    found["measured_bytes"] = None if None in sizes else sum(sizes)
    found["shared_bytes"] = found["persistent_bytes"] + max(arena["activations_bytes"] for arena in arenas.values())
    found["activations_peak_bytes"] = arenas[largest]["activations_peak_bytes"]
    found |= {"peak_member": largest, "peak_operator": arenas[largest]["peak_operator"], "tensors": [], "timeline": []}
    found["explained"] = f"{largest} needs the most: {arenas[largest]['explained']}"
    return found | {"members": arenas}


def _explained(plan: ArenaPlan, peak: int | None) -> str:
    """Which tensors make the peak, in one line."""
    if peak is None:
        return "nothing is computed"
    alive, step = plan.alive(peak + 1), plan.steps[peak + 1]
    total = sum(block.size_bytes for block in alive)
    named = [f"{block.name} ({block.size_bytes:,})" for block in alive[:_NAMED]]
    rest = len(alive) - len(named)
    listed = ", ".join(named) + (f" and {rest} more" if rest else "")
    gaps = plan.activations_bytes - total
    where = f"at operator {peak}, {step.op}, {total:,} bytes are alive: {listed}"
    return where + (f"; laid out they take {plan.activations_bytes:,}, {gaps:,} more" if gaps else "")


def arena_reserve_bytes(rows: Sequence[OpRow], target: Target) -> int:
    """Bytes that a network's arena may need on a target beyond what was measured on the host."""
    dense = any(row.op == "FULLY_CONNECTED" and row.input_dtypes[0] == "int8" for row in rows)
    scratch = dense or any(row.op in _WITH_SCRATCH for row in rows)
    return target.arena_reserve_bytes if scratch else target.small_reserve_bytes


def shared_reserve_bytes(networks: Iterable[Sequence[OpRow]], target: Target) -> int:
    """The same of one arena that several networks share.

    Scratch buffers of a device's kernels lie in what is shared, so that the largest reserve is enough for them; of the
    other networks only the records of their operators may be larger.

    Args:
        networks: the operators of each; at least one network.
        target: has the reserves.
    """
    reserves = [arena_reserve_bytes(rows, target) for rows in networks]
    return max(reserves) + (len(reserves) - 1) * target.small_reserve_bytes


def arena_setting_bytes(measured: int, reserve: int) -> int:
    """Bytes to give the arena: what was measured on the host, plus the reserve, rounded up to the alignment."""
    return math.ceil((measured + reserve) / _ALIGNMENT_BYTES) * _ALIGNMENT_BYTES
