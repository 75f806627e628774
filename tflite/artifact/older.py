"""Reads the folders that earlier versions wrote: `set.json` with the schema `keras_mtl.artifact_set/1`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from keras_mtl.core import ArtifactError

SET_MANIFEST, SET_GOLDEN = "set.json", "set.golden.npz"
_SCHEMA = "keras_mtl.artifact_set/1"


def from_set(manifest: Any, folder: Path) -> dict[str, Any]:
    """The manifest of a streaming artifact, of that of a set.

    Args:
        manifest: the parsed `set.json`.
        folder: where it lies, for messages.

    Raises:
        ArtifactError: another schema, or a set that took windows: these are not made or run any more.
        LookupError, TypeError, ValueError, AttributeError, ArithmeticError: keys are missing or of the wrong kind.
    """
    if manifest["schema"] != _SCHEMA:
        raise ArtifactError(f"{folder / SET_MANIFEST} has schema {str(manifest['schema'])[:60]}, not {_SCHEMA}")
    wiring = dict(manifest["wiring"])
    if "stream" not in wiring:
        part, kind = (str(manifest.get(key))[:20] for key in ("part", "format"))
        raise ArtifactError(
            f"{folder} takes windows, which is not supported any more: a streaming artifact does its job",
            hint=f"keras_mtl convert RUN --part {part} --format {kind}, of the run that it was made of",
        )
    windows, clip_frames = wiring.pop("windows"), wiring.pop("clip_frames")
    two_ways = any(layer["backward"] is not None for layer in wiring["recurrent"])
    wiring["scene_ring"] = windows["frames"] // windows["stride"] if wiring["scene_head"] else 0
    wiring["event_ring"] = clip_frames // windows["stride"] if two_ways else 0
    wiring["schedule"] = "stream"
    tasks = [task for task, member in (("scenes", "scene_head"), ("events", "classifiers")) if wiring[member]]
    part = tasks[0] if len(tasks) == 1 else "joint"
    manifest = {**manifest, "part": part, "schedule": "stream", "wiring": wiring}
    if (smoothing := manifest.pop("smoothing", None)) is not None:
        scenes = {"scene_weight": smoothing["weight"], "scene_hold_calls": smoothing["hold"]}
        manifest["decoding"] = {**manifest["decoding"], **scenes}
    return manifest
