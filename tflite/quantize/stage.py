"""The stage from a float run folder to a quantized one."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import keras
import numpy as np

from keras_mtl.core import LogMelSettings, files
from keras_mtl.features import EventSet, SceneSet, normalise, scene_set
from keras_mtl.models import embeddings_of, frames_per_embedding
from keras_mtl.runs import Run
from keras_mtl.tflite.qat import CELLS, LEARNING
from keras_mtl.tflite.quantize.network import quantize_network
from keras_mtl.tflite.quantize.options import PARTS, require_options
from keras_mtl.tflite.tfmot import describe_scene_part, quantize_with_tfmot
from keras_mtl.training import EventStream, SceneStream, Stream, as_dataset, load_training_data, require_same_clips

if TYPE_CHECKING:
    from keras_mtl.datasets import Corpus
import hashlib
import shutil
from collections.abc import Sequence

from keras_mtl.core import ConversionError, RunError
from keras_mtl.metrics import evaluate, scored_tasks
from keras_mtl.runs import git_revision, versions
from keras_mtl.tflite.quantize.predictor import quantized_predictor

#: Event clips, evenly spaced over the strongly labelled ones: of ten seconds some 160.
_CALIBRATION_CLIPS = 16
#: Parts of a batch of event clips by their kind. Labels are not read: the float network is the teacher.
_KINDS = {"strong": 4, "weak": 4, "unlabelled": 8}
_COPIED = ("recipe.toml", "network.keras", "samples.npz")


def quantize(
    run: Run,
    scheme: str,
    corpus: Corpus,
    out: str | Path,
    cache: Path,
    part: str = "scenes",
    *,
    epochs: int | None = None,
    seed: int | None = None,
    engine: str = "native",
    cells: str | None = None,
    learning: str | None = None,
) -> Run:
    """Quantizes the encoder of a run's network with one decoder or both, and writes a run folder of its own.

    Args:
        run: the float run.
        scheme: "int8" or "int16x8", of the encoder and the scene decoder.
        corpus: clips to fine-tune and to score on, and event clips to calibrate on; the scenes' calibration clips come
            from the run.
        out: the folder to write; must not hold anything.
        cache: where log-mel features are kept.
        part: "scenes", "events" or "joint".
        epochs: passes over the scene training clips or, with events, over the strongly labelled event clips; 0
            calibrates only; None is the recipe's number.
        seed: of the fine-tuning; None is the run's.
        engine: "native" or, for scenes in int8, "tfmot".
        cells: the scheme of the event decoder; None is "int16x8".
        learning: how the native engine's ranges outside of the cells change in fine-tuning: "gradient" or
            "moving_average"; None is "gradient".

    Returns:
        The quantized run. `info["metrics"]` holds the figures of the quantized part, `info["quantization"]` those of
        the float one (`before`), and how near the two are.

    Raises:
        RunError: `out` is in use, or `run` is a quantized one already.
        ConversionError: an unknown option or one without an effect (cells without events, ranges of tfmot), the run
            was not trained on a task, its network has a layer that can't be quantized, or tfmot's process failed.
        DataError: the corpus lacks the clips, or is opened for another part of them than the run's recipe wants.
    """
    out = Path(out)
    require_options(scheme, part, engine, cells, learning)
    tasks = PARTS[part]
    _require_float_run(run, tasks, out)
    if engine == "tfmot":
        describe_scene_part(run.network())  # refuses layers here, before data are prepared for hours
    require_same_clips(replace(run.recipe, labels=run.labels), corpus, tasks)
    epochs = run.recipe.quantize.epochs if epochs is None else epochs
    seed = run.info["seed"] if seed is None else seed
    with files.new_folder(out) as folder:
        details: dict[str, Any] = {"epochs": epochs, "seed": seed}
        if engine == "tfmot":
            details |= _with_tfmot(run, corpus, cache, epochs, seed, folder)
        else:
            details |= {"cells": cells or CELLS} if "events" in tasks else {}
            details |= {"learning": learning or LEARNING[0]}
            details |= _natively(run, scheme, tasks, corpus, cache, details, folder)
        _complete(folder, run, tasks, scheme, engine, details, corpus, cache)
    return Run.load(out)


def event_calibration(strong: EventSet, settings: LogMelSettings) -> np.ndarray:
    """The clips that an event decoder's ranges are calibrated on: normalised log-mel [clips, frames, mel_bands]."""
    index = np.unique(np.linspace(0, len(strong) - 1, _CALIBRATION_CLIPS).astype(int))
    return normalise(strong.log_mel[index], settings)


def _natively(
    run: Run,
    scheme: str,
    tasks: tuple[str, ...],
    corpus: Corpus,
    cache: Path,
    details: Mapping[str, Any],
    folder: Path,
) -> dict[str, Any]:
    network, epochs, seed = run.network(), details["epochs"], details["seed"]
    calibration: dict[str, np.ndarray] = {}
    streams: dict[str, Stream] = {}
    scenes = None
    if "events" in tasks:
        data = load_training_data(
            replace(run.recipe, features=run.settings, labels=run.labels), corpus, set(tasks), cache
        )
        calibration["events"] = event_calibration(data.events["strong"], run.settings)
        embeddings = embeddings_of(network, data.events["strong"].log_mel.shape[1])
        stride = frames_per_embedding(network)
        streams["events"] = EventStream(data.events, _KINDS, run.settings, run.labels.events, stride, seed, embeddings)
        scenes = data.scenes
    elif epochs:
        scenes = _scene_clips(run, corpus, cache)
    if "scenes" in tasks:
        calibration["scenes"] = run.samples().calibration
    if scenes is not None:
        streams["scenes"] = SceneStream(scenes, run.recipe.quantize.batch, run.settings, seed)
    training, steps = None, None
    if epochs:
        steps = streams["events" if "events" in tasks else "scenes"].steps
        training = as_dataset(streams, 0, epochs * steps).map(_clips)
    quantized = quantize_network(
        network,
        scheme,
        calibration,
        training,
        cells=details.get("cells"),
        epochs=epochs,
        steps_per_epoch=steps,
        learning_rate=run.recipe.quantize.learning_rate,
        learning=details["learning"],
        seed=seed,
        callbacks=[keras.callbacks.CSVLogger(folder / "quantize.csv")],
        verbose=1 if sys.stderr.isatty() else 2,
    )
    quantized.model.save(folder / "qat.keras")
    found = {"kept": quantized.kept, "nearness": quantized.nearness}
    return {**found, "calibration": _described(calibration)}


def _with_tfmot(run: Run, corpus: Corpus, cache: Path, epochs: int, seed: int, folder: Path) -> dict[str, Any]:
    settings, calibration = run.recipe.quantize, run.samples().calibration
    quantized = quantize_with_tfmot(
        run.network(),
        calibration,
        folder,
        _scene_clips(run, corpus, cache) if epochs else None,
        run.settings,
        epochs=epochs,
        batch=settings.batch,
        learning_rate=settings.learning_rate,
        seed=seed,
    )
    return {**asdict(quantized), "calibration": _described({"scenes": calibration})}


def _scene_clips(run: Run, corpus: Corpus, cache: Path) -> SceneSet:
    return scene_set(corpus, "train", run.settings.normalised(0.0, 1.0), cache)


def _clips(batch: Mapping[str, Any]) -> dict[str, Any]:
    return {task: values["log_mel"] for task, values in batch.items()}


def _require_float_run(run: Run, tasks: Sequence[str], out: Path) -> None:
    """Refuses a run that can't be quantized for these tasks, and a folder in use."""
    if run.info["stage"] != "float":
        raise RunError(f"{run.path} is quantized already", hint="name the float run that it was made of")
    trained = run.info.get("tasks", ["scenes"])
    lacking = [task for task in tasks if task not in trained]
    if lacking:
        raise ConversionError(
            f"{run.path} was not trained on {lacking[0]}, so that part can't be quantized",
            hint=f"it was trained on {' and '.join(trained)}",
        )
    if not files.is_free(out):
        raise RunError(f"{out} holds something already", hint="name another folder")


def _described(clips: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """Which clips set the ranges: of each task how many, and the sha256 of their log-mel."""
    return {
        task: {"clips": len(values), "sha256": hashlib.sha256(np.asarray(values, "<f4").tobytes()).hexdigest()}
        for task, values in clips.items()
    }


def _complete(
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

    `details` is what `quantization` in `run.json` holds beside the figures of the float run (`before`) and the data.
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
    info["metrics"] = evaluate(quantized_predictor(Run(folder, info)), corpus, cache) if scored else {}
    files.write_json(folder / "run.json", info)
