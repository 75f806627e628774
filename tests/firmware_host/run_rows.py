"""Runs one file on arrays, in the order of its inputs."""

from __future__ import annotations

import numpy as np

from keras_mtl.firmware_host.engines import run
from keras_mtl.tflite.artifact import Artifact


def run_rows(engine: str, given: bytes | Artifact, *inputs: np.ndarray, timeout_s: float = 120.0) -> list[np.ndarray]:
    """The outputs, in the file's order."""
    artifact = Artifact.of(given) if isinstance(given, bytes) else given
    named = {f"input_{number}": values for number, values in enumerate(inputs)}
    return list(run(engine, artifact, named, timeout_s=timeout_s).outputs.values())
