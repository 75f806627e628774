"""Turns what a user names (a run folder, a `.keras` file in one, an artifact) into a predictor."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from keras_mtl.core import RunError

if TYPE_CHECKING:
    from keras_mtl.inference import Listener


def open_predictor(path: Path, engine: str = "litert") -> Listener:
    """Opens a run folder, the `.keras` file of one, or an artifact: a `.tflite` file or the folder of a streaming one.

    Args:
        path: what the user named.
        engine: the interpreter for an artifact.

    Raises:
        RunError, ArtifactError: it is neither, or can't be read.
    """
    from keras_mtl.tflite.artifact import Artifact, is_folder

    if path.suffix == ".tflite" or is_folder(path):
        from keras_mtl.predictors.artifacts import artifact_predictor

        return artifact_predictor(Artifact.load(path), engine, str(path))
    from keras_mtl.inference import listen_with_run
    from keras_mtl.runs import Run

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
        from keras_mtl.tflite.quantize import listen_with_qat_run

        return listen_with_qat_run(run)
    return listen_with_run(run)
