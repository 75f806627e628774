"""`keras_mtl quantize`: quantization-aware fine-tuning of a run's encoder with one decoder, or with both."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from keras_mtl.cli import options
from keras_mtl.tflite.qat import LEARNING, SCHEMES
from keras_mtl.tflite.quantize import ENGINES, PARTS, require_options

_AGREEMENT = {
    "scenes": "decides as the float network on {:.1%} of the calibration clips",
    "events": "decides as the float network for {:.2%} of the calibration clips' frames and classes",
}


@click.command("quantize")
@options.run_argument
@click.option("--scheme", required=True, type=click.Choice(list(SCHEMES)), help="Weights are 8-bit in both.")
@options.data_option
@click.option("--out", required=True, type=options.PATH, metavar="RUN", help="The run folder to write.")
@click.option(
    "--engine",
    type=click.Choice(ENGINES),
    default="native",
    help="Kind of QAT: our own, or tensorflow-model-optimization (int8 only).",
)
@click.option(
    "--part",
    type=click.Choice(list(PARTS)),
    default="scenes",
    help="What is quantized: the encoder with one decoder, or with both.",
)
@click.option(
    "--cells",
    type=click.Choice(list(SCHEMES)),
    help="Scheme of the event decoder: states of 8 bits cost accuracy.  [default: int16x8]",
)
@click.option(
    "--ranges",
    type=click.Choice(LEARNING),
    help="How the native engine's 8-bit ranges learn: by gradient where they clip, or as a moving average of the "
    "extremes.  [default: gradient]",
)
@click.option("--epochs", type=click.IntRange(min=0), help="Passes over the clips; 0 calibrates only. [recipe's]")
@click.option("--seed", type=int, help="Seed of the fine-tuning. [the run's]")
@options.cache_option
@options.json_option
def command(
    run: Path,
    scheme: str,
    data: str,
    out: Path,
    engine: str,
    part: str,
    cells: str | None,
    ranges: str | None,
    epochs: int | None,
    seed: int | None,
    cache: Path,
    as_json: bool,
) -> None:
    """Fine-tune the encoder and one decoder of RUN, or both, under fake quantization; write a new run folder.

    Batch normalisation is folded into the convolutions, the ranges are calibrated on training clips, and then the
    twin is trained on the float network's outputs. `keras_mtl convert` makes the file of the scene part, or the
    streaming artifact of the event and the joint part. Recurrent cells have 8-bit weights and by default 16-bit states
    with either scheme.

    With --engine tfmot, tensorflow-model-optimization quantizes the scene part instead, a second opinion on int8.

    \b
    Examples:
      keras_mtl quantize runs/real --scheme int8 --data DIR --out runs/real-int8
      keras_mtl quantize runs/real --scheme int16x8 --data DIR --out runs/real-int16x8 --epochs 0
      keras_mtl quantize runs/real --part joint --scheme int8 --data DIR --out runs/real-joint
      keras_mtl quantize runs/real --scheme int8 --engine tfmot --data DIR --out runs/real-tfmot
    """
    from keras_mtl.runs import Run, open_data

    source = Run.load(run)
    require_options(scheme, part, engine, cells, ranges)
    options.quiet_tensorflow()
    from keras_mtl.tflite.quantize import quantize

    corpus = open_data(source, data, cache)
    made = quantize(
        source, scheme, corpus, out, cache, part, epochs=epochs, seed=seed, engine=engine, cells=cells, learning=ranges
    )
    quantization = made.info["quantization"]
    metrics = {"before": quantization["before"], "after": made.info["metrics"]}
    document = {
        "schema": "keras_mtl.quantize/1",
        "run": str(made.path),
        "data": quantization["data"],
        "scheme": scheme,
        "engine": engine,
        "part": part,
        "epochs": quantization["epochs"],
        "kept": quantization["kept"],
        "nearness": quantization["nearness"],
        "metrics": metrics,
    }
    options.print_result(document, as_json, lambda: _lines(document, metrics))


def _lines(document: dict[str, Any], metrics: dict[str, Any]) -> list[str]:
    near = document["nearness"][document["kept"]]
    agree = {task: near[f"{task}_agreement"] for task in PARTS[document["part"]]}
    how = f"{document['scheme']}, {document['engine']}, {document['kept'].replace('_', '-')}"
    return [
        f"run      {document['run']}   ({how})",
        "before:",
        *options.metric_lines(metrics["before"]),
        "after:",
        *options.metric_lines(metrics["after"]),
        *(_AGREEMENT[task].format(share) for task, share in agree.items()),
    ]
