"""`keras_mtl evaluate`: scores a run or an artifact on the evaluation split."""

from __future__ import annotations

from pathlib import Path

import click

from keras_mtl.cli.options import (
    answer,
    cache_option,
    data_line,
    data_option,
    json_option,
    metric_lines,
    quiet_tensorflow,
)


@click.command("evaluate")
@click.argument("model", type=click.Path(path_type=Path), metavar="RUN_OR_KERAS_OR_TFLITE")
@data_option
@click.option(
    "--engine",
    type=click.Choice(["litert", "litert-reference", "tflm", "tflite-runtime"]),
    default="litert",
    show_default=True,
    help="The interpreter for a .tflite file.",
)
@click.option(
    "--resamples",
    type=click.IntRange(min=0),
    default=1000,
    show_default=True,
    help="Draws of recordings for the 95 % intervals; 0 makes none.",
)
@cache_option
@json_option
def command(model: Path, data: str, engine: str, resamples: int, cache: Path, as_json: bool) -> None:
    """Score a run folder, a .keras file in one, or an artifact on the evaluation split.

    Scenes: accuracy, macro accuracy and log loss, by device and class. Events: event-based, segment-based and
    clip-level F1, PSDS1, PSDS2. Each with its 95 % interval, by drawing recordings. A run is scored on the tasks it was
    trained on, a quantized run on those that were quantized, an artifact on its part's tasks. A streaming artifact
    takes each clip from a start to its end.

    \b
    Examples:
      keras_mtl evaluate runs/real --data DIR
      keras_mtl evaluate scenes.int8.tflite --data DIR --engine tflm --json
      keras_mtl evaluate joint.int8/ --data DIR --engine tflm
    """
    quiet_tensorflow()
    from keras_mtl.datasets import open_corpus
    from keras_mtl.metrics import Bootstrap, evaluate
    from keras_mtl.predictors import open_predictor

    cache = cache.expanduser()
    predictor = open_predictor(model, engine)
    corpus = open_corpus(data, cache / "tfds", sample_rate_hz=predictor.settings.sample_rate_hz, scene_subset=None)
    metrics = evaluate(predictor, corpus, cache, Bootstrap(resamples))
    document = {"schema": "keras_mtl.evaluation/1", "model": str(model), "data": corpus.stamp, **metrics}
    answer(document, as_json, lambda: [data_line(corpus.stamp), *metric_lines(metrics)])
