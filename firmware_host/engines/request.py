"""How an artifact goes to a worker: its files in a folder, and a request that a worker opens them by."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from keras_mtl.core import EngineError
from keras_mtl.firmware_host.engines.refusals import require_runnable
from keras_mtl.tflite.artifact import Artifact
from keras_mtl.tflite.flatbuffer import ALIGNMENT_BYTES

#: The module of each engine.
_MODULES = {"tflm": "tflm", "litert": "litert", "litert-reference": "litert", "tflite-runtime": "tflite_runtime"}
#: Names of the engines.
ENGINES = tuple(_MODULES)
#: What TensorFlow Lite Micro is given: far more than any microcontroller has, so that the need is measured.
ARENA_OFFERED_BYTES = 64 << 20


def make_request(engine: str, artifact: Artifact, folder: Path) -> dict[str, Any]:
    """Writes an artifact's files into a folder and makes what `worker.open_members` opens them by.

    Args:
        engine: one of `ENGINES`.
        artifact: the artifact.
        folder: where the files go.

    Raises:
        EngineRefused: a member that the engine is known not to run.
        EngineError: an unknown engine.
    """
    if engine not in _MODULES:
        raise EngineError(f"unknown engine {engine}", hint=f"engines are {', '.join(ENGINES)}")
    members = {}
    for number, (name, member) in enumerate(artifact.members.items()):
        require_runnable(engine, member.model)
        (folder / f"{number}.tflite").write_bytes(member.content)
        ports = {"inputs": member.inputs, "outputs": member.outputs}
        listed = {end: [port.to_dict() for port in each] for end, each in ports.items()}
        members[name] = {"file": f"{number}.tflite", **listed}
    return {
        "folder": str(folder),
        "engine": engine,
        "module": f"{__package__}.{_MODULES[engine]}",
        "members": members,
        "wiring": artifact.wiring.to_dict(),
        "arena_bytes": member_arena_bytes(len(members)),
    }


def member_arena_bytes(members: int) -> int:
    """The arena that each of so many members is offered: aligned, since what an odd end wastes is counted as used."""
    return ARENA_OFFERED_BYTES // members // ALIGNMENT_BYTES * ALIGNMENT_BYTES
