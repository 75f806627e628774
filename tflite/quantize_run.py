"""The stage from a float run folder to a quantized one."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import keras

from keras_mtl import files
from keras_mtl.batches import SceneStream, as_dataset
from keras_mtl.errors import ConversionError, RunError
from keras_mtl.evaluation import evaluate, scored_tasks
from keras_mtl.feature_sets import scene_set
from keras_mtl.run_folder import Run, git_revision, versions
from keras_mtl.tflite.qat_run import listen_with_qat_run
from keras_mtl.tflite.quantize import Quantized, quantize
from keras_mtl.training_data import require_same_part

if TYPE_CHECKING:
    from keras_mtl.datasets.corpus import Corpus

_COPIED = ("recipe.toml", "network.keras", "samples.npz")


def quantize_run(
    run: Run,
    scheme: str,
    corpus: Corpus,
    out: str | Path,
    cache: Path,
    epochs: int | None = None,
    seed: int | None = None,
) -> Run:
    """Quantizes the scene part of a run's network and writes a run folder of its own.

    Args:
        run: the float run.
        scheme: "int8" or "int16x8".
        corpus: scene clips to fine-tune and to score on; the calibration clips come from the run.
        out: the folder to write; must not hold anything.
        cache: where log-mel features are kept.
        epochs: passes over the scene training clips; 0 calibrates only; None is the recipe's number.
        seed: of the fine-tuning; None is the run's.

    Returns:
        The quantized run. `info["metrics"]` holds the figures of the quantized scene part, `info["quantization"]` those
        of the float one (`before`), and how near the two are.

    Raises:
        RunError: `out` is in use, or `run` is a quantized one already.
        ConversionError: the run was not trained on scenes, or its network has a layer that can't be quantized.
        DataError: the corpus has no scene clips, or is opened for another part of them than the run's recipe wants.
    """
    out = Path(out)
    _require(run, out)
    require_same_part(run.recipe, corpus)
    settings = run.recipe.quantize
    epochs = settings.epochs if epochs is None else epochs
    seed = run.info["seed"] if seed is None else seed
    network, calibration = run.network(), run.samples().calibration
    with files.new_folder(out) as folder:
        training, steps = None, None
        if epochs:
            clips = scene_set(corpus, "train", run.settings.normalised(0.0, 1.0), cache)
            stream = SceneStream(clips, settings.batch, run.settings, seed)
            steps = stream.steps
            training = as_dataset({"scenes": stream}, 0, epochs * steps).map(_clips_and_labels)
        quantized = quantize(
            network,
            scheme,
            calibration,
            training,
            epochs=epochs,
            steps_per_epoch=steps,
            learning_rate=settings.learning_rate,
            seed=seed,
            callbacks=[keras.callbacks.CSVLogger(folder / "quantize.csv")],
            verbose=1 if sys.stderr.isatty() else 2,
        )
        for name in _COPIED:
            shutil.copyfile(run.path / name, folder / name)
        quantized.model.save(folder / "qat.keras")
        info = _info(run, quantized, epochs, seed, corpus)
        # Scored as saved and read back: what is in the folder is what the figures belong to.
        scored = scored_tasks(info["tasks"], corpus)
        info["metrics"] = evaluate(listen_with_qat_run(Run(folder, info)), corpus, cache) if scored else {}
        files.write_json(folder / "run.json", info)
    return Run.load(out)


def _clips_and_labels(batch: dict[str, Any]) -> tuple[Any, Any]:
    return batch["scenes"]["log_mel"], batch["scenes"]["scene"]


def _require(run: Run, out: Path) -> None:
    if run.info["stage"] != "float":
        raise RunError(f"{run.path} is quantized already", hint="name the float run that it was made of")
    if "scenes" not in run.info.get("tasks", ["scenes"]):
        raise ConversionError(f"{run.path} was not trained on scenes, so its scene part can't be quantized")
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise RunError(f"{out} holds something already", hint="name another folder")


def _info(run: Run, quantized: Quantized, epochs: int, seed: int, corpus: Corpus) -> dict[str, Any]:
    before = {"scenes": run.info["metrics"]["scenes"]} if "scenes" in run.info.get("metrics", {}) else {}
    return {
        **run.info,
        "stage": "qat",
        "scheme": quantized.scheme,
        "tasks": ["scenes"],
        "quantization": {
            "epochs": epochs,
            "seed": seed,
            "kept": quantized.kept,
            "nearness": quantized.nearness,
            "before": before,
            "data": corpus.stamp,
        },
        "git_revision": git_revision(),
        "versions": versions(),
    }
