"""What an artifact takes of a board's flash and RAM when its networks are plain C99: known when they are generated."""

from __future__ import annotations

from collections.abc import Mapping

from keras_mtl.firmware_host.c99 import c_networks, code_bytes, constant_bytes, memory_bytes
from keras_mtl.firmware_host.compute import code_parts
from keras_mtl.firmware_host.device import FRONT_END, LISTENER_STATE_BYTES, listener_buffers
from keras_mtl.firmware_host.report import Check, at_most
from keras_mtl.firmware_host.targets import Target
from keras_mtl.tflite.artifact import Artifact

#: Parts of a firmware's code that there are with an interpreter, too.
_AROUND = ("front end", "listener", "libc")


def plain_sizes(artifact: Artifact, front_end: str = "float") -> dict[str, int]:
    """Bytes of an artifact as C99, with the log-mel computed in "float" or "fixed" point.

    Returns:
        `constant_bytes` and `code_bytes` of the networks, `memory_bytes` that these compute in and, of a streaming
        artifact, `listener_bytes` (the struct without the front end's scratch, which lies in that memory) and
        `front_end_bytes` (how much of that is the front end's).

    Raises:
        EngineRefused: a layer that there is no C99 for.
    """
    networks = c_networks("network", {name: member.model for name, member in artifact.members.items()})
    sizes = {"constant_bytes": sum(map(constant_bytes, networks)), "code_bytes": code_bytes(networks)}
    if not artifact.streams:
        return sizes | {"memory_bytes": memory_bytes(networks)}
    buffers = listener_buffers(artifact, front_end)
    scratch = buffers.pop("scratch")
    return sizes | {
        "memory_bytes": memory_bytes(networks, scratch),
        "listener_bytes": sum(buffers.values()) + LISTENER_STATE_BYTES,
        "front_end_bytes": sum(buffers[name] for name in FRONT_END if name in buffers),
    }


def flash_check(artifact: Artifact, sizes: Mapping[str, int], target: Target) -> Check | None:
    """Constants and code against what the application leaves of the flash; None for a budget."""
    if target.flash_bytes is None:
        return None
    kept, parts = target.application_flash_bytes or 0, code_parts(artifact, target)
    others = {name: parts[name] for name in _AROUND if name in parts}
    value = sizes["constant_bytes"] + sizes["code_bytes"] + sum(others.values())
    listed = "".join(f", {name} {part:,}" for name, part in others.items())
    why = f"networks as C99: constants {sizes['constant_bytes']:,} + code about {sizes['code_bytes']:,}{listed}"
    return at_most("flash_bytes", value, target.flash_bytes - kept, "bytes", f"{why}; {kept:,} kept")


def memory_check(sizes: Mapping[str, int], target: Target) -> Check | None:
    """All of the RAM against what the application leaves; None for a budget."""
    if target.arena_ram_bytes is None:
        return None
    kept, listener = target.application_ram_bytes or 0, sizes.get("listener_bytes", 0)
    why = f"networks as C99 compute in {sizes['memory_bytes']:,} bytes"
    if listener:
        why += f", where the front end has its scratch, too; a listener of {listener:,}, "
        why += f"{sizes['front_end_bytes']:,} of it the front end's"
    why += f"; of {target.arena_ram_bytes:,} the application keeps {kept:,}"
    return at_most("arena_bytes", sizes["memory_bytes"] + listener, target.arena_ram_bytes - kept, "bytes", why)
