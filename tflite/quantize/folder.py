"""What the two stages that quantize a run have in common: what they refuse, and the run folder that they leave."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_mtl.core import ConversionError, RunError, files
from keras_mtl.metrics import evaluate, scored_tasks
from keras_mtl.runs import Run, git_revision, versions
from keras_mtl.tflite.quantize.predictor import listen_with_qat_run

if TYPE_CHECKING:
    from keras_mtl.datasets import Corpus

_COPIED = ("recipe.toml", "network.keras", "samples.npz")


def require_float_run(run: Run, tasks: Sequence[str], out: Path) -> None:
    """Refuses a run that can't be quantized for these tasks, and a folder in use.

    Raises:
        RunError: `out` is in use, or `run` is a quantized one already.
        ConversionError: the run was not trained on one of the tasks.
    """
    if run.info["stage"] != "float":
        raise RunError(f"{run.path} is quantized already", hint="name the float run that it was made of")
    trained = run.info.get("tasks", ["scenes"])
    lacking = [task for task in tasks if task not in trained]
    if lacking:
        raise ConversionError(
            f"{run.path} was not trained on {lacking[0]}, so that part can't be quantized",
            hint=f"it was trained on {' and '.join(trained)}",
        )
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise RunError(f"{out} holds something already", hint="name another folder")


def describe_calibration(clips: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """Which clips set the ranges: of each task how many, and the sha256 of their log-mel."""
    return {
        task: {"clips": len(values), "sha256": hashlib.sha256(np.asarray(values, "<f4").tobytes()).hexdigest()}
        for task, values in clips.items()
    }


def complete(
    folder: Path,
    run: Run,
    tasks: Sequence[str],
    scheme: str,
    engine: str,
    details: dict[str, Any],
    corpus: Corpus,
    cache: Path,
) -> None:
    """Makes a run folder of one that holds a quantized network: what the float run has, and the new figures.

    Args:
        folder: with the network's file or files.
        run: the float run.
        tasks: those that are quantized.
        scheme: "int8" or "int16x8".
        engine: "native" or "tfmot".
        details: what `quantization` in `run.json` says beside the figures of the float run (`before`) and the data.
        corpus: what is scored on, where it has the evaluation split.
        cache: where log-mel features are kept.
    """
    for name in _COPIED:
        shutil.copyfile(run.path / name, folder / name)
    before = {task: run.info["metrics"][task] for task in tasks if task in run.info.get("metrics", {})}
    info = {
        **run.info,
        "stage": "qat",
        "scheme": scheme,
        "engine": engine,
        "tasks": list(tasks),
        "quantization": {**details, "before": before, "data": corpus.stamp},
        "git_revision": git_revision(),
        "versions": versions(),
    }
    # Scored as saved and read back: what is in the folder is what the figures belong to.
    scored = scored_tasks(info["tasks"], corpus)
    info["metrics"] = evaluate(listen_with_qat_run(Run(folder, info)), corpus, cache) if scored else {}
    files.write_json(folder / "run.json", info)
