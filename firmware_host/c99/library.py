"""The kernels that generated C calls, as they go beside it."""

from __future__ import annotations

from importlib import resources


def kernel_texts() -> dict[str, str]:
    """Texts of the kernels' sources by their file names."""
    folder = resources.files("keras_mtl.firmware_host.c99") / "c"
    return {entry.name: entry.read_text("utf-8") for entry in sorted(folder.iterdir(), key=lambda each: each.name)}
