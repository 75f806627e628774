"""Runs a set of artifacts on one engine, in a process of its own; arrays travel as files in a temporary folder."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from keras_mtl.errors import EngineError, EngineRefused
from keras_mtl.firmware_host.engines.process import run_worker
from keras_mtl.firmware_host.engines.refusals import explain_set, require_runnable
from keras_mtl.firmware_host.engines.runner import ARENA_OFFERED_BYTES, ENGINES, WORKERS
from keras_mtl.tflite import flatbuffer
from keras_mtl.tflite.arena_placement import ALIGNMENT_BYTES
from keras_mtl.tflite.artifact import dequantize
from keras_mtl.tflite.artifact_set import ArtifactSet

_WORKER = "keras_mtl.firmware_host.engines.set_worker"


@dataclass(frozen=True, eq=False)
class SetRun:
    """What one engine heard by a set.

    Attributes:
        engine: its name, one of `ENGINES`.
        version: version of its package.
        arena_bytes: tensor arena of each member; None for engines without one.
        scenes: logits [seconds, scenes], real values; None where no seconds were given.
        strong: probabilities of the steps [clips, steps, events]; None where no clips were given.
        weak: probabilities of the clips [clips, events].
    """

    engine: str
    version: str
    arena_bytes: dict[str, int | None]
    scenes: np.ndarray | None = None
    strong: np.ndarray | None = None
    weak: np.ndarray | None = None

    @property
    def arenas_in_all(self) -> int | None:
        """Tensor arena of all members; None for engines without one."""
        sizes = [size for size in self.arena_bytes.values() if size is not None]
        return sum(sizes) if len(sizes) == len(self.arena_bytes) else None


def set_request(engine: str, artifacts: ArtifactSet, folder: Path) -> dict[str, Any]:
    """Writes a set's files into a folder and says how a worker opens them.

    Args:
        engine: one of `ENGINES`.
        artifacts: the set.
        folder: where the members' files go, by their names.

    Raises:
        EngineRefused: a member that the engine is known not to run.
        EngineError: an unknown engine.
    """
    if engine not in WORKERS:
        raise EngineError(f"unknown engine {engine}", hint=f"engines are {', '.join(ENGINES)}")
    for name, artifact in artifacts.members.items():
        require_runnable(engine, flatbuffer.read_model(artifact.content))
        (folder / name).write_bytes(artifact.content)
    ports = {n: {end: member.manifest[end] for end in ("inputs", "outputs")} for n, member in artifacts.members.items()}
    request: dict[str, Any] = {"folder": str(folder), "engine": engine, "worker": WORKERS[engine], "members": ports}
    return request | {"wiring": artifacts.wiring.to_dict(), "arena_bytes": member_arena_bytes(len(ports))}


def run_set(
    engine: str,
    artifacts: ArtifactSet,
    seconds: np.ndarray | None = None,
    clips: np.ndarray | None = None,
    timeout_s: float = 600.0,
) -> SetRun:
    """Hears clips by a set, as a device would: by a streaming set each from a start to its end.

    Args:
        engine: one of `ENGINES`.
        artifacts: the set.
        seconds: log-mel for the scene decoder [n, frames, mel_bands, 1], in the encoder's input type.
        clips: the same for the event decoder, as long as its clips are.
        timeout_s: seconds after which the engine's process is stopped.

    Raises:
        EngineRefused: the engine said why it can't run a member, or isn't installed.
        EngineCrash: its process died.
        EngineTimeout: it did not come back in time.
    """
    with tempfile.TemporaryDirectory(prefix="keras_mtl_set_") as name:
        folder = Path(name)
        request = set_request(engine, artifacts, folder)
        for key, values in (("seconds", seconds), ("clips", clips)):
            if values is not None:
                np.save(folder / f"{key}.npy", values)
        answer = run_worker(engine, _WORKER, request, timeout_s, lambda error: explain_set(engine, error))
        shapes = _shapes(artifacts, seconds, clips)
        found = {key: np.load(folder / f"{key}.npy") for key in shapes}
    for key, values in found.items():
        if values.shape != shapes[key]:  # of a damaged member, whose tensors say otherwise than its operators
            raise EngineRefused(f"{engine} gives {key} of shape {list(values.shape)}, not {list(shapes[key])}")
    return SetRun(engine, answer["version"], answer["arena_bytes"], **_real(artifacts, found))


def member_arena_bytes(members: int) -> int:
    """The arena that each of so many members is offered: aligned, since what an odd end wastes is counted as used."""
    return ARENA_OFFERED_BYTES // members // ALIGNMENT_BYTES * ALIGNMENT_BYTES


def _shapes(artifacts: ArtifactSet, seconds: np.ndarray | None, clips: np.ndarray | None) -> dict[str, tuple[int, ...]]:
    """Shapes of what is heard, by what the members say of themselves."""
    wiring, shapes = artifacts.wiring, {}

    def row(member: str, place: int) -> list[int]:
        return artifacts.members[member].manifest["outputs"][place]["shape"][1:]

    if seconds is not None:
        shapes["scenes"] = (len(seconds), *row(wiring.scene_head, 0))
    if clips is not None:
        steps = clips.shape[1] // wiring.windows.stride
        for place, name in enumerate(("strong", "attention")):
            shapes[name] = (len(clips), steps, *row(wiring.classifiers, place))
    return shapes


def _real(artifacts: ArtifactSet, found: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Integers as real values; a clip's probability is the mean of its steps', by the softmax of the attention."""
    wiring, real = artifacts.wiring, {}
    if "scenes" in found:
        port = artifacts.members[wiring.scene_head].manifest["outputs"][0]
        real["scenes"] = dequantize(found["scenes"], port)
    if "strong" in found:
        ports = artifacts.members[wiring.classifiers].manifest["outputs"]
        strong, attention = (dequantize(found[n], port) for n, port in zip(("strong", "attention"), ports, strict=True))
        weights = np.exp(attention - attention.max(axis=-1, keepdims=True))
        weights /= weights.sum(axis=-1, keepdims=True)
        real["strong"] = strong
        real["weak"] = (strong * weights).sum(axis=1) / weights.sum(axis=1)
    return real
