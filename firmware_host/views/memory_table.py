"""The memory of a streaming artifact as a table, for a report's text and its page."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from keras_mtl.core import Column, Table

_COLUMNS = (Column("memory", 0), Column("", 1), Column("bytes", 2, ","), Column("calls a second", 3, "g"))
_ON_A_DEVICE = (
    ("one arena, its reserve too", "shared_arena_bytes"),
    ("front end", "front_end_bytes"),
    ("listener: front end, buffers", "listener_bytes"),
    ("arena and listener", "total_bytes"),
)


def memory_table(artifact: Mapping[str, Any]) -> Table:
    """What a streaming artifact needs of RAM, and how often its members run.

    Args:
        artifact: that of a report, with `memory`.
    """
    ram, calls = artifact["memory"], artifact["calls_per_second"]
    rows: list[tuple[str, str, int, float | str]] = [
        *((name, "arena", size, calls[name]) for name, size in ram["arena_bytes"].items()),
        *((name, "buffer", size, "") for name, size in ram["buffer_bytes"].items()),
        ("each arena by itself", "all", ram["separate_bytes"], ""),
        ("arenas over each other", "all", ram["shared_bytes"], ""),
        *((name, "device", ram[key], "") for name, key in _ON_A_DEVICE),
    ]
    return Table(_COLUMNS, rows)


def latency_line(artifact: Mapping[str, Any]) -> str:
    """The latency of each task, for people."""
    waits = ", ".join(f"{task} {seconds:g} s" for task, seconds in artifact["latency_s"].items())
    return f"at most, computing not counted: {waits}"
