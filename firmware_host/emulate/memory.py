"""The RAM of a streaming artifact on a device: one arena for all networks, and a listener around them; and its check.

The emulator's report and the firmware bundle have their figures from here, so that they agree.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from keras_mtl.firmware_host.arena import largest_scratch
from keras_mtl.firmware_host.device import FRONT_END, LISTENER_STATE_BYTES, listener_buffers
from keras_mtl.firmware_host.report import Check, at_most
from keras_mtl.firmware_host.targets import Target
from keras_mtl.tflite.artifact import Artifact


def stream_memory(
    artifact: Artifact, arena: Mapping[str, Any], kept_audio_bytes: int = 0, front_end: str = "float"
) -> dict[str, Any]:
    """The RAM of a streaming artifact, in bytes.

    `arena`: of its members, as `arena.arena_of_members` gives it. `kept_audio_bytes`: samples
    that come during the longest burst of computing (`compute.Burst.kept_bytes`). `front_end`: how the log-mel is
    computed, "float" or "fixed" (`compute.front_end_path`).

    Returns:
        As the members and the manifest have it, on this host: `arena_bytes` of each member (measured, or planned where
        TFLM did not run it), `buffer_bytes` of each buffer that is kept between calls, `separate_bytes` (each member
        with an arena of its own, and the buffers) and `shared_bytes` (the members' planned parts laid over each other,
        what each keeps side by side, and the buffers).
        As a bundle has it, on the device: `shared_arena_bytes` (the one arena), `reserve_bytes` (how much of that is
        beyond its plan), `interpreter_bytes` (the interpreters themselves), `listener_bytes` (the struct of the C
        listener: buffers, front end and state), `front_end_bytes` (how much of that is the front end's) and
        `total_bytes` (arena, interpreters and struct). `kept_audio_bytes`: what was given, beside
        that.

    Raises:
        ArtifactError: the members have other ports than a streaming artifact's.
    """
    members, kept, device = arena["members"], artifact.manifest["buffers"], arena["device"]
    arenas = {name: one["measured_bytes"] or one["planned_bytes"] for name, one in members.items()}
    activations = [one["activations_bytes"] for one in members.values()]
    shared = sum(arenas.values()) - sum(activations) + max(activations)
    setting, interpreters = device["arena_bytes"], device["interpreter_bytes"]
    buffers = listener_buffers(artifact, front_end)
    listener = sum(buffers.values()) + LISTENER_STATE_BYTES
    return {
        "arena_bytes": arenas,
        "buffer_bytes": dict(kept),
        "separate_bytes": sum(arenas.values()) + sum(kept.values()),
        "shared_bytes": shared + sum(kept.values()),
        "shared_arena_bytes": setting,
        "reserve_bytes": device["reserve_bytes"],
        "interpreter_bytes": interpreters,
        "listener_bytes": listener,
        "front_end_bytes": sum(buffers[name] for name in FRONT_END),
        "total_bytes": setting + interpreters + listener,
        "kept_audio_bytes": kept_audio_bytes,
    }


def arena_bytes(arena: Mapping[str, Any], ram: Mapping[str, Any], target: Target) -> Check | None:
    """All that a streaming artifact needs of RAM, against what the application leaves; None for a budget.

    `arena`: of the members, as `arena.arena_of_members` gives it.
    """
    if target.arena_ram_bytes is None:
        return None
    kept = target.application_ram_bytes or 0
    limit = target.arena_ram_bytes - kept
    if arena["measured_bytes"] is None:
        why = f"not measured: TFLM did not run the artifact{planned(arena)}"
        return Check("arena_bytes", None, limit, "bytes", False, why)
    why = f"{device_words(arena['device'], 'one arena for all networks')}, a listener of {ram['listener_bytes']:,}, "
    why += f"{ram['front_end_bytes']:,} of it the front end's; on the host arenas of their own take "
    why += f"{arena['measured_bytes']:,}, measured by TFLM{planned(arena)}, and with the buffers between calls "
    why += f"{ram['separate_bytes']:,}; {ram['kept_audio_bytes']:,} for audio that comes during the longest burst of "
    why += f"computing, at the least; of {target.arena_ram_bytes:,} the application keeps {kept:,}"
    return at_most("arena_bytes", ram["total_bytes"] + ram["kept_audio_bytes"], limit, "bytes", why)


def device_words(device: Mapping[str, Any], what: str = "an arena") -> str:
    """What an arena on the device is made of, in words."""
    words = f"for 32 bit {what} of {device['arena_bytes']:,}, {device['reserve_bytes']:,} of it in reserve, "
    words += f"with {largest_scratch(device['scratch'])} ({device['kernels']}); "
    if device["planning_bytes"] > device["activations_bytes"]:
        words += f"to plan it takes {device['planning_bytes']:,}, more than its activations; "
    return words + f"{device['interpreter_bytes']:,} for the interpreter{'s' if 'all' in what else ''}"


def planned(arena: Mapping[str, Any] | None) -> str:
    """What the plan of an arena adds to a line about what was measured; empty without a plan."""
    return f", planned from the file {arena['planned_bytes']:,}" if arena else ""
