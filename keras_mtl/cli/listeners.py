"""Turns what a user names (a run folder, a `.keras` file in one, a `.tflite` artifact) into a listener."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from keras_mtl.errors import ArtifactError, RunError
from keras_mtl.features import LogMelSettings
from keras_mtl.listener import Listener


def open_listener(path: Path, engine: str = "litert") -> Listener:
    """Opens a run folder, the `.keras` file of one, or a scene artifact.

    Args:
        path: what the user named.
        engine: the interpreter for an artifact.

    Raises:
        RunError, ArtifactError: it is neither, or can't be read.
    """
    if path.suffix == ".tflite":
        return _artifact(path, engine)
    from keras_mtl.network_listener import listen_with_run
    from keras_mtl.run_folder import Run

    if path.suffix == ".keras":
        if not path.is_file():
            raise RunError(f"no file {path}")
        if path.name not in ("network.keras", "qat.keras") or not (path.parent / "run.json").is_file():
            raise RunError(
                f"{path} lies in no run folder, so its features are not known", hint="name the run folder instead"
            )
        path = path.parent
    run = Run.load(path)
    if run.info["stage"] == "qat":
        from keras_mtl.tflite.qat_run import listen_with_qat_run

        return listen_with_qat_run(run)
    return listen_with_run(run)


def _artifact(path: Path, engine: str) -> Listener:
    from keras_mtl.firmware_host.engines import run_engine
    from keras_mtl.log_mel import normalise
    from keras_mtl.tflite.artifact import Artifact, dequantize, quantize

    artifact = Artifact.load(path)
    manifest = artifact.manifest
    if manifest.get("part") != "scenes":
        raise ArtifactError(
            f"{path} is not a scene artifact of this project (part: {manifest.get('part')})",
            hint="keras_mtl convert RUN --part scenes makes one",
        )
    settings = LogMelSettings.from_dict(manifest["features"])

    def scene_logits(levels: np.ndarray) -> np.ndarray:
        (port,) = manifest["inputs"]
        inputs = quantize(normalise(levels, settings), port).reshape(len(levels), *port["shape"][1:])
        (outputs,) = run_engine(engine, artifact.content, [inputs]).outputs
        return dequantize(outputs, manifest["outputs"][0]).reshape(len(inputs), -1)

    return Listener(settings, scene_logits)
