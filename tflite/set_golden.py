"""The golden data of a set: clips or a recording, and what the network that was converted gives for them."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from keras_mtl.errors import ArtifactError
from keras_mtl.tflite.artifact import Artifact
from keras_mtl.tflite.golden_file import read_golden_file
from keras_mtl.tflite.stream_set_wiring import StreamWiring
from keras_mtl.tflite.wiring import Wiring

#: The arrays of golden data: clips as the encoder takes them, and real outputs.
_GOLDEN = ("seconds", "scenes", "clips", "strong", "weak", "recording")


def read_set_golden(
    path: Path, members: dict[str, Artifact], wiring: Wiring, manifest: dict[str, Any]
) -> dict[str, np.ndarray]:
    """Reads golden data, and holds them against the members' ports and the wiring.

    Args:
        path: the file, which may be missing.
        members: of the set, by their names.
        wiring: of the set.
        manifest: of the set.

    Returns:
        The arrays that `ArtifactSet.golden` describes; none where there is no file.

    Raises:
        ArtifactError: they can't be read, or do not fit.
    """
    if not os.path.lexists(path):
        return {}
    try:
        golden = read_golden_file(path, _GOLDEN.__contains__)
    except ArtifactError as error:
        raise ArtifactError(f"{path.parent}: {error.message}", hint=error.hint) from None
    if isinstance(wiring, StreamWiring):
        return _stream(golden, path, members, wiring, manifest)
    port, labels = members[wiring.encoder].manifest["inputs"][0], manifest.get("labels") or {}
    mel, scenes, events = port["shape"][2:], len(labels.get("scenes", ())), len(labels.get("events", ()))
    wanted = {
        "seconds": (wiring.windows.frames, *mel),
        "scenes": (scenes,),
        "clips": (wiring.clip_frames, *mel),
        "strong": (wiring.steps, events),
        "weak": (events,),
    }
    tasks = [("seconds", "scenes")] * bool(wiring.scene_head) + [("clips", "strong", "weak")] * bool(wiring.classifiers)
    nothing = np.zeros(0)  # where an array is missing
    for given, *told in tasks:
        rows = golden.get(given, nothing)
        fits = rows.dtype.name == port["dtype"] and rows.shape[1:] == wanted[given] and len(rows) > 0
        for name in told:
            values = golden.get(name, nothing)
            fits = fits and values.shape == (len(rows), *wanted[name]) and values.dtype.kind == "f"
            fits = fits and values.size > 0 and bool(np.isfinite(values).all())
        if not fits:
            raise ArtifactError(f"{path} does not fit the set: {', '.join((given, *told))}", hint="convert again")
    return {name: golden[name] for task in tasks for name in task}


def _stream(
    golden: dict[str, np.ndarray],
    path: Path,
    members: Mapping[str, Artifact],
    wiring: StreamWiring,
    manifest: Mapping[str, Any],
) -> dict[str, np.ndarray]:
    """The golden recording and its reference results, held against the ports and the wiring."""
    port, labels = members[wiring.encoder].manifest["inputs"][0], manifest.get("labels") or {}
    nothing = np.zeros(0)  # where an array is missing
    recording = golden.get("recording", nothing)
    fits = recording.dtype.name == port["dtype"] and recording.ndim == 2 and recording.shape[1] == port["shape"][2]
    embeddings = len(recording) // wiring.stream.stride - wiring.stream.latency
    wanted = {}
    if wiring.scene_ring:
        wanted["scenes"] = (len(wiring.scene_calls(embeddings)), len(labels.get("scenes", ())))
    if wiring.classifiers:
        wanted["strong"] = (embeddings, len(labels.get("events", ())))
    for name, shape in wanted.items():
        values = golden.get(name, nothing)
        fits = fits and values.shape == shape and values.size > 0
        fits = fits and values.dtype.kind == "f" and bool(np.isfinite(values).all())
    if not fits:
        raise ArtifactError(f"{path} does not fit the set: {', '.join(('recording', *wanted))}", hint="convert again")
    return {name: golden[name] for name in ("recording", *wanted)}
