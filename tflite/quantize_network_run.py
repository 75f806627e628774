"""The stage from a float run folder to one whose encoder and event decoder, or both decoders, are quantized."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import keras
import numpy as np

from keras_mtl import files
from keras_mtl.batches import EventStream, SceneStream, Stream, as_dataset
from keras_mtl.log_mel import normalise
from keras_mtl.models.timing import embeddings_of, frames_per_embedding
from keras_mtl.run_folder import Run
from keras_mtl.tflite.quantize_network import quantize_network
from keras_mtl.tflite.quantized_folder import complete, describe_calibration, require_float_run
from keras_mtl.training_data import TrainingData, load_training_data, require_same_part

if TYPE_CHECKING:
    from keras_mtl.datasets.corpus import Corpus

#: The tasks of each part that can be quantized here.
TASKS = {"events": ("events",), "joint": ("scenes", "events")}
#: Event clips, evenly spaced over the strongly labelled ones: some 160 seconds.
_CALIBRATION_CLIPS = 16
#: Parts of a batch of event clips by their kind. Labels are not read: the float network is the teacher.
_KINDS = {"strong": 4, "weak": 4, "unlabelled": 8}


def quantize_network_run(
    run: Run,
    scheme: str,
    corpus: Corpus,
    out: str | Path,
    cache: Path,
    part: str,
    epochs: int | None = None,
    seed: int | None = None,
    cells: str = "int16x8",
    learning: str = "gradient",
) -> Run:
    """Quantizes the encoder of a run with its event decoder, or both decoders, and writes a run folder of its own.

    Args:
        run: the float run.
        scheme: "int8" or "int16x8", of the encoder and the scene decoder.
        corpus: clips to calibrate on, to fine-tune and to score on; the scenes' calibration clips come from the run.
        out: the folder to write; must not hold anything.
        cache: where log-mel features are kept.
        part: "events" or "joint".
        epochs: passes over the strongly labelled event clips; 0 calibrates only; None is the recipe's number.
        seed: of the fine-tuning; None is the run's.
        cells: the scheme of the event decoder.
        learning: how ranges outside of the cells change in fine-tuning: "gradient" or "moving_average".

    Returns:
        The quantized run: `info["metrics"]` holds its figures, `info["quantization"]` those of the float one
        (`before`), and how near the two are.

    Raises:
        RunError: `out` is in use, or `run` is a quantized one already.
        ConversionError: the run was not trained on a task, or its network has a layer that can't be quantized.
        DataError: the corpus lacks the clips, or is opened for another part of them than the run's recipe wants.
    """
    out, tasks, settings = Path(out), TASKS[part], run.recipe.quantize
    require_float_run(run, tasks, out)
    require_same_part(run.recipe, corpus)
    epochs = settings.epochs if epochs is None else epochs
    seed = run.info["seed"] if seed is None else seed
    network = run.network()
    with files.new_folder(out) as folder:
        data = load_training_data(replace(run.recipe, features=run.settings), corpus, set(tasks), cache)
        training, steps = None, None
        if epochs:
            streams = _streams(run, data, tasks, network, seed)
            steps = streams["events"].steps
            training = as_dataset(streams, 0, epochs * steps).map(_clips)
        calibration = _calibration(run, data, tasks)
        quantized = quantize_network(
            network,
            scheme,
            calibration,
            training,
            cells=cells,
            epochs=epochs,
            steps_per_epoch=steps,
            learning_rate=settings.learning_rate,
            learning=learning,
            seed=seed,
            callbacks=[keras.callbacks.CSVLogger(folder / "quantize.csv")],
            verbose=1 if sys.stderr.isatty() else 2,
        )
        quantized.model.save(folder / "qat.keras")
        details = {"epochs": epochs, "seed": seed, "cells": cells, "learning": learning}
        details |= {"kept": quantized.kept, "nearness": quantized.nearness}
        details["calibration"] = describe_calibration(calibration)
        complete(folder, run, tasks, scheme, "native", details, corpus, cache)
    return Run.load(out)


def _streams(
    run: Run, data: TrainingData, tasks: tuple[str, ...], network: keras.Model, seed: int
) -> dict[str, Stream]:
    frames = data.events["strong"].levels.shape[1]
    embeddings, stride = embeddings_of(network, frames), frames_per_embedding(network)
    streams: dict[str, Stream] = {"events": EventStream(data.events, _KINDS, run.settings, stride, seed, embeddings)}
    if "scenes" in tasks and data.scenes is not None:
        streams["scenes"] = SceneStream(data.scenes, run.recipe.quantize.batch, run.settings, seed)
    return streams


def _clips(batch: Mapping[str, Any]) -> dict[str, Any]:
    return {task: values["log_mel"] for task, values in batch.items()}


def _calibration(run: Run, data: TrainingData, tasks: tuple[str, ...]) -> dict[str, np.ndarray]:
    strong = data.events["strong"]
    index = np.unique(np.linspace(0, len(strong) - 1, _CALIBRATION_CLIPS).astype(int))
    calibration = {"events": normalise(strong.levels[index], run.settings)}
    return calibration | ({"scenes": run.samples().calibration} if "scenes" in tasks else {})
