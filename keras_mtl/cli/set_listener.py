"""A set of artifacts as a listener: heard on an interpreter as a device would hear.

A streaming set hears each clip from a start to its end.
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from keras_mtl.errors import ArtifactError
from keras_mtl.features import LogMelSettings
from keras_mtl.levels import AnyLevels
from keras_mtl.listener import Listener
from keras_mtl.recipes.settings import DecodeSettings

if TYPE_CHECKING:
    from keras_mtl.firmware_host.engines.set_runner import SetRun

#: Clips that one process hears; each has a time limit of its own.
_AT_A_TIME = {"seconds": 200, "clips": 10}


def listen_with_set(path: Path, engine: str = "litert") -> Listener:
    """A listener of a set.

    Args:
        path: its folder or its `set.json`.
        engine: the interpreter.

    Raises:
        ArtifactError: the set can't be read.
    """
    from keras_mtl.firmware_host.engines.set_runner import run_set
    from keras_mtl.log_mel import normalise
    from keras_mtl.tflite.artifact import quantize
    from keras_mtl.tflite.artifact_set import ArtifactSet

    artifacts = ArtifactSet.load(path)
    wiring, settings = artifacts.wiring, LogMelSettings.from_dict(artifacts.manifest["features"])
    port = artifacts.members[wiring.encoder].manifest["inputs"][0]
    clip_frames = None if artifacts.streams else wiring.clip_frames

    def hear(kind: str, levels: AnyLevels, frames: int | None) -> list[SetRun]:
        if frames is not None and levels.shape[1] != frames:
            raise ArtifactError(f"the set hears {frames} frames at a time here, not {levels.shape[1]}")

        def part(first: int) -> SetRun:
            values = normalise(levels[first : first + _AT_A_TIME[kind]], settings)[..., None]
            given = quantize(values, port)
            return run_set(engine, artifacts, *((given, None) if kind == "seconds" else (None, given)))

        # Threads only wait here: each part is heard in a process of its own.
        with ThreadPoolExecutor(max_workers=os.cpu_count() or 1) as pool:
            return list(pool.map(part, range(0, len(levels), _AT_A_TIME[kind])))

    def scene_logits(levels: AnyLevels) -> np.ndarray:
        return np.concatenate([run.scenes for run in hear("seconds", levels, wiring.windows.frames)])

    def event_probabilities(levels: AnyLevels) -> tuple[np.ndarray, np.ndarray]:
        runs = hear("clips", levels, clip_frames)
        return np.concatenate([run.strong for run in runs]), np.concatenate([run.weak for run in runs])

    scenes = scene_logits if wiring.scene_head else None
    decoding = DecodeSettings(**artifacts.manifest["decoding"])
    if not wiring.classifiers:
        return Listener(settings, scenes, decoding=decoding)
    return Listener(settings, scenes, event_probabilities, wiring.windows.stride, decoding, clip_frames)
