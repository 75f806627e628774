"""The memory of a streaming set as rows, for a report's text and its page."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

#: Names of the columns.
COLUMNS = ("memory", "", "bytes", "calls a second")
_ON_A_DEVICE = (
    ("one arena, its reserve too", "shared_arena_bytes"),
    ("front end", "front_end_bytes"),
    ("listener: front end, buffers", "listener_bytes"),
    ("arena and listener", "total_bytes"),
)


def memory_rows(artifact: Mapping[str, Any]) -> list[tuple[str, str, str, str]]:
    """What a streaming set needs of RAM, and how often its members run; nothing for another artifact.

    Args:
        artifact: that of a report.
    """
    if "memory" not in artifact:
        return []
    ram, calls = artifact["memory"], artifact["calls_per_second"]
    rows = [(name, "arena", f"{size:,}", f"{calls[name]:g}") for name, size in ram["arena_bytes"].items()]
    rows += [(name, "buffer", f"{size:,}", "") for name, size in ram["buffer_bytes"].items()]
    rows += [("each arena by itself", "all", f"{ram['separate_bytes']:,}", "")]
    rows += [("arenas over each other", "all", f"{ram['shared_bytes']:,}", "")]
    return rows + [(name, "device", f"{ram[key]:,}", "") for name, key in _ON_A_DEVICE]


def latency_line(artifact: Mapping[str, Any]) -> str:
    """How late each task answers, for people."""
    waits = ", ".join(f"{task} {seconds:g} s" for task, seconds in artifact["latency_s"].items())
    return f"at most, computing not counted: {waits}"
