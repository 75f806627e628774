"""`keras_mtl evaluate`: scores a run or an artifact on the evaluation split; false alarms on ambient audio."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from keras_mtl.cli import options


@click.command("evaluate")
@click.argument("model", type=options.PATH, metavar="RUN_OR_KERAS_OR_TFLITE")
@click.option(
    "--data",
    metavar="DIR",
    help="Folder that holds the TAU and DESED folders, or the word 'soundscapes': the embedded data.",
)
@click.option(
    "--ambient",
    type=options.FOLDER,
    help="Recordings without events, to count false alarms per hour on; hours of them.",
)
@options.engine_option
@click.option(
    "--resamples",
    type=click.IntRange(min=0),
    default=1000,
    help="Draws of recordings for the 95 % intervals; 0 makes none.",
)
@click.option(
    "--front-end",
    type=click.Choice(["float", "fixed"]),
    default="float",
    help="Log-mel of --data: exact, or that of the firmware's fixed-point front end.",
)
@options.cache_option
@options.json_option
def command(
    model: Path,
    data: str | None,
    ambient: Path | None,
    engine: str,
    resamples: int,
    front_end: str,
    cache: Path,
    as_json: bool,
) -> None:
    """Score a run folder, a .keras file in one, or an artifact on the evaluation split.

    Scenes: accuracy, macro accuracy and log loss, by device and class. Events: event-based, segment-based and
    clip-level F1, PSDS1, PSDS2. Each with its 95 % interval, by drawing recordings. A run is scored on the tasks it was
    trained on, a quantized run on those that were quantized, an artifact on its part's tasks. A streaming artifact
    takes each clip from a start to its end.

    With --ambient: false alarms per hour of each class with their Poisson intervals; a streaming artifact takes each
    recording as a device does.

    \b
    Examples:
      keras_mtl evaluate runs/real --data DIR
      keras_mtl evaluate scenes.int8.tflite --data DIR --engine tflm --json
      keras_mtl evaluate joint.int8/ --data DIR --engine tflm
      keras_mtl evaluate joint.int8/ --data DIR --engine tflm --front-end fixed
      keras_mtl evaluate joint.int8/ --ambient noise/ --engine tflm
    """
    if data is None and ambient is None:
        raise click.UsageError("Missing option '--data', or '--ambient'.")
    options.quiet_tensorflow()
    from keras_mtl.features import LogMel
    from keras_mtl.firmware_host.device import FixedLogMel
    from keras_mtl.metrics import Bootstrap, evaluate
    from keras_mtl.predictors import Tunable, false_alarms, open_for_scoring, open_predictor

    document: dict[str, Any] = {"schema": "keras_mtl.evaluation/1", "model": str(model)}
    lines: list[str] = []
    if data is not None:
        predictor = open_predictor(model, engine)
        corpus = open_for_scoring(predictor, data, cache)
        metrics = evaluate(
            predictor, corpus, cache, Bootstrap(resamples), FixedLogMel if front_end == "fixed" else LogMel
        )
        document |= {"data": corpus.stamp, "front_end": front_end, **metrics}
        lines += [options.data_line(corpus.stamp), *options.metric_lines(metrics)]
    if ambient is not None:
        found = false_alarms(Tunable.open(model, engine).streaming, ambient, engine)
        document["ambient"] = {"folder": str(ambient), **found}
        lines += options.false_alarm_lines(found)
    options.print_result(document, as_json, lambda: lines)
