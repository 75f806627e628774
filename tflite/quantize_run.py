"""The stage from a float run folder to a quantized one."""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import keras

from keras_mtl import files
from keras_mtl.batches import SceneStream, as_dataset
from keras_mtl.errors import ConversionError
from keras_mtl.feature_sets import SceneSet, scene_set
from keras_mtl.run_folder import Run
from keras_mtl.tflite.quantize import quantize
from keras_mtl.tflite.quantized_folder import complete, describe_calibration, require_float_run
from keras_mtl.tflite.tfmot_description import describe_scene_part
from keras_mtl.tflite.tfmot_quantize import quantize_with_tfmot
from keras_mtl.tflite.tfmot_refusals import require_scenes_in_8_bits
from keras_mtl.training_data import require_same_part

if TYPE_CHECKING:
    from keras_mtl.datasets.corpus import Corpus

ENGINES = ("native", "tfmot")


def quantize_run(
    run: Run,
    scheme: str,
    corpus: Corpus,
    out: str | Path,
    cache: Path,
    epochs: int | None = None,
    seed: int | None = None,
    engine: str = "native",
    learning: str = "gradient",
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
        engine: "native" or, for int8, "tfmot".
        learning: how the native engine's ranges change in fine-tuning: "gradient" or "moving_average".

    Returns:
        The quantized run. `info["metrics"]` holds the figures of the quantized scene part, `info["quantization"]` those
        of the float one (`before`), and how near the two are.

    Raises:
        RunError: `out` is in use, or `run` is a quantized one already.
        ConversionError: the run was not trained on scenes, its network has a layer that can't be quantized, the engine
            does not have the scheme, or tfmot's process failed.
        DataError: the corpus has no scene clips, or is opened for another part of them than the run's recipe wants.
    """
    out = Path(out)
    _require(run, out, scheme, engine)
    require_same_part(run.recipe, corpus)
    epochs = run.recipe.quantize.epochs if epochs is None else epochs
    seed = run.info["seed"] if seed is None else seed
    with files.new_folder(out) as folder:
        clips = scene_set(corpus, "train", run.settings.normalised(0.0, 1.0), cache) if epochs else None
        if engine == "tfmot":
            made = _with_tfmot(run, clips, epochs, seed, folder)
        else:
            made = _natively(run, scheme, clips, epochs, seed, folder, learning)
        calibration = describe_calibration({"scenes": run.samples().calibration})
        details = {"epochs": epochs, "seed": seed, "calibration": calibration, **made}
        complete(folder, run, ["scenes"], scheme, engine, details, corpus, cache)
    return Run.load(out)


def _natively(
    run: Run, scheme: str, clips: SceneSet | None, epochs: int, seed: int, folder: Path, learning: str
) -> dict[str, Any]:
    settings, training, steps = run.recipe.quantize, None, None
    if clips is not None:
        stream = SceneStream(clips, settings.batch, run.settings, seed)
        steps = stream.steps
        training = as_dataset({"scenes": stream}, 0, epochs * steps).map(_clips_and_labels)
    quantized = quantize(
        run.network(),
        scheme,
        run.samples().calibration,
        training,
        epochs=epochs,
        steps_per_epoch=steps,
        learning_rate=settings.learning_rate,
        learning=learning,
        seed=seed,
        callbacks=[keras.callbacks.CSVLogger(folder / "quantize.csv")],
        verbose=1 if sys.stderr.isatty() else 2,
    )
    quantized.model.save(folder / "qat.keras")
    return {"kept": quantized.kept, "nearness": quantized.nearness, "learning": learning}


def _with_tfmot(run: Run, clips: SceneSet | None, epochs: int, seed: int, folder: Path) -> dict[str, Any]:
    settings = run.recipe.quantize
    quantized = quantize_with_tfmot(
        run.network(),
        run.samples().calibration,
        folder,
        clips,
        run.settings,
        epochs=epochs,
        batch=settings.batch,
        learning_rate=settings.learning_rate,
        seed=seed,
    )
    return asdict(quantized)


def _clips_and_labels(batch: dict[str, Any]) -> tuple[Any, Any]:
    return batch["scenes"]["log_mel"], batch["scenes"]["scene"]


def _require(run: Run, out: Path, scheme: str, engine: str) -> None:
    if engine not in ENGINES:
        raise ConversionError(f"unknown engine {engine!r}", hint=f"one of {', '.join(ENGINES)}")
    if engine == "tfmot":
        require_scenes_in_8_bits(scheme)
    require_float_run(run, ["scenes"], out)
    if engine == "tfmot":
        describe_scene_part(run.network())  # refuses layers here, before data are prepared for hours
