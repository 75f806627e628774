"""The arena of a report: the plan beside what the interpreter measured, and what a device is to give it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from keras_mtl.firmware_host.arena.plan import ArenaPlan, plan_arena
from keras_mtl.firmware_host.arena.sizes import DEVICE
from keras_mtl.firmware_host.targets import REFERENCE, KernelBuild, Target
from keras_mtl.tflite import flatbuffer
from keras_mtl.tflite.artifact import Member
from keras_mtl.tflite.flatbuffer import ALIGNMENT_BYTES, aligned

_NAMED = 3


def arena_of(model: Any, measured_bytes: int | None, target: Target | None = None) -> dict[str, Any]:
    """The arena of one file.

    Operators are numbered in the order in which they run, those of loops in their place. In a file without loops these
    are the numbers of the report's rows.

    `measured_bytes`: what TensorFlow Lite Micro used; None where it did not run. `target`: has the device's kernels;
    None for reference kernels.

    Returns:
        `planned_bytes` and `measured_bytes` (on this host), `planned_32bit_bytes` (on the device, its kernels' scratch
        memory included), `device` (that figure's parts and what to give the arena, see `_device`),
        `activations_bytes` (laid out), `activations_peak_bytes` (alive at once), `persistent_bytes` and
        `persistent_parts`, `peak_operator`, `operators`: [{"op", "name"}], `tensors`: [{"name", "kind", "bytes",
        "offset", "first_operator", "last_operator"}], `timeline` (bytes alive at each operator), `explained`,
        `assumed_operators` (whose kernels are not known).

    Raises:
        ArtifactError: a file that can't be planned.
    """
    builds = target.kernel_builds if target else (REFERENCE,)
    plan = plan_arena(model, builds)
    timeline = plan.timeline()[1:]
    peak = timeline.index(max(timeline)) if timeline else None
    return {
        "planned_bytes": plan.planned_bytes,
        "measured_bytes": measured_bytes,
        "planned_32bit_bytes": plan.device.planned_bytes,
        "device": _device(model, plan, measured_bytes, target, builds),
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


def arena_of_members(
    members: Mapping[str, Member], measured: Mapping[str, int | None], target: Target | None = None
) -> dict[str, Any]:
    """The arenas of files that work together, each with its own.

    Args:
        members: each file by its name.
        measured: what was measured for each; a name that is missing was not.
        target: as of `arena_of`.

    Returns:
        The keys of `arena_of` that add up: sums of bytes, except that `activations_peak_bytes` is that of the member
        with the largest; `peak_operator` is the number of its operator, `peak_member` its name. `members` holds the
        arena of each, and `shared_bytes` is what they need on this host if activations share their memory. `device`
        is that of one arena for all.
    """
    arenas = {name: arena_of(member.model, measured.get(name), target) for name, member in members.items()}
    largest = max(arenas, key=lambda name: arenas[name]["activations_peak_bytes"])
    sizes = [arena["measured_bytes"] for arena in arenas.values()]
    found: dict[str, Any] = {
        key: sum(arena[key] for arena in arenas.values())
        for key in ("planned_bytes", "planned_32bit_bytes", "persistent_bytes")
    }
    found["measured_bytes"] = None if None in sizes else sum(sizes)
    found["shared_bytes"] = found["persistent_bytes"] + max(arena["activations_bytes"] for arena in arenas.values())
    found["device"] = _shared_device(list(arenas.values()))
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


#: Bytes of RAM beside the arena on a 32-bit device, of TensorFlow Lite Micro of August 2026: a MicroInterpreter with
#: its state, and a MicroMutableOpResolver, by itself and for each operator that it knows.
_INTERPRETER_BYTES, _RESOLVER_BYTES, _REGISTRATION_BYTES = 212, 12, 36


def _device(
    model: Any, plan: ArenaPlan, measured: int | None, target: Target | None, builds: Sequence[KernelBuild]
) -> dict[str, Any]:
    """The arena of one file on the device.

    Returns:
        `kernels` (the family), `activations_bytes`, `planning_bytes` and `persistent_bytes` of the plan, `scratch`:
        [{"op", "name", "bytes"}], `beyond_plan_bytes` (by how much the interpreter on this host used more than its
        plan), `reserve_bytes`, `arena_bytes` (what to give the arena: what is kept, beyond the plan and in reserve, and
        the larger of activations and planning, aligned), `interpreter_bytes` (RAM beside the arena, for the interpreter
        itself) and `pc_arena_bytes` (what to give it on a PC of 64 bit, for a self-test there).
    """
    device, operators = plan.device, list(flatbuffer.operators(model))
    kinds = {flatbuffer.op_name(model, operator) for _, operator in operators}
    beyond = max(0, (measured or 0) - plan.planned_bytes)
    reserve = target.arena_reserve_bytes if target else None
    # Another version of TensorFlow Lite Micro may have an operator's record one step of the alignment larger.
    found: dict[str, Any] = {
        "kernels": builds[0].family,
        "activations_bytes": device.activations_bytes,
        "planning_bytes": device.planning_bytes,
        "persistent_bytes": device.persistent_bytes,
        "scratch": [{"op": each.op, "name": each.name, "bytes": each.size_bytes} for each in device.scratch],
        "beyond_plan_bytes": beyond,
        "reserve_bytes": ALIGNMENT_BYTES * len(operators) if reserve is None else reserve,
    }
    resolver = _RESOLVER_BYTES + _REGISTRATION_BYTES * len(kinds)
    working = max(plan.activations_bytes, plan.planning_bytes)
    pc = aligned(working + plan.persistent_bytes + beyond + found["reserve_bytes"])
    return _given(found) | {"interpreter_bytes": _INTERPRETER_BYTES + resolver, "pc_arena_bytes": pc}


def _shared_device(arenas: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """One arena for several files: the largest of what they compute in, and what each keeps, with one allocator."""
    devices = [arena["device"] for arena in arenas]

    def total(key: str) -> int:
        return sum(int(device[key]) for device in devices)

    once = (len(devices) - 1) * (DEVICE.buffer_allocator + DEVICE.memory_planner + DEVICE.allocator)
    found = {
        "kernels": devices[0]["kernels"],
        "activations_bytes": max(device["activations_bytes"] for device in devices),
        "planning_bytes": max(device["planning_bytes"] for device in devices),
        "persistent_bytes": total("persistent_bytes") - once,
        "scratch": [each for device in devices for each in device["scratch"]],
        "beyond_plan_bytes": total("beyond_plan_bytes"),
        "reserve_bytes": total("reserve_bytes"),
    }
    computed = [arena["activations_bytes"] for arena in arenas]
    pc = total("pc_arena_bytes") - sum(computed) + max(computed)
    return _given(found) | {"interpreter_bytes": total("interpreter_bytes"), "pc_arena_bytes": aligned(pc)}


def _given(device: dict[str, Any]) -> dict[str, Any]:
    """With what to give the arena."""
    working = max(device["activations_bytes"], device["planning_bytes"])
    kept = sum(device[part] for part in ("persistent_bytes", "beyond_plan_bytes", "reserve_bytes"))
    return device | {"arena_bytes": aligned(working + kept)}


def largest_scratch(scratch: Iterable[Mapping[str, Any]]) -> str:
    """What the kernels ask for, in words: the largest and how many there are."""
    found = sorted(scratch, key=lambda each: -each["bytes"])
    if not found:
        return "no scratch memory of its kernels"
    first, layer = found[0], found[0]["name"].split(";")[0]
    return f"scratch memory of {len(found)} kernels, at most {first['bytes']:,} of {first['op']} {layer}"
