"""`keras_mtl quantize`: quantization-aware fine-tuning of a run's scene part."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from keras_mtl.cli.options import answer, cache_option, data_option, json_option, metric_lines, quiet_tensorflow
from keras_mtl.tflite.scheme import SCHEMES


@click.command("quantize")
@click.argument("run", type=click.Path(path_type=Path), metavar="RUN")
@click.option("--scheme", required=True, type=click.Choice(list(SCHEMES)), help="Weights are 8-bit in both.")
@data_option
@click.option("--out", required=True, type=click.Path(path_type=Path), metavar="RUN", help="The run folder to write.")
@click.option("--engine", type=click.Choice(["native"]), default="native", show_default=True, help="Kind of QAT.")
@click.option("--epochs", type=click.IntRange(min=0), help="Passes over the scene clips; 0 calibrates only. [recipe's]")
@click.option("--seed", type=int, help="Seed of the fine-tuning. [the run's]")
@cache_option
@json_option
def command(
    run: Path,
    scheme: str,
    data: str,
    out: Path,
    engine: str,
    epochs: int | None,
    seed: int | None,
    cache: Path,
    as_json: bool,
) -> None:
    """Fine-tune the scene part (encoder and scene head) of RUN under fake quantization; write a new run folder.

    Batch normalisation is folded into the convolutions, the ranges are calibrated on training clips of RUN, and then
    the float network teaches its quantized twin. `keras_mtl convert` makes the file.

    \b
    Examples:
      keras_mtl quantize runs/real --scheme int8 --data DIR --out runs/real-int8
      keras_mtl quantize runs/real --scheme int16x8 --data DIR --out runs/real-int16x8 --epochs 0
    """
    from keras_mtl.run_folder import Run

    source = Run.load(run)
    quiet_tensorflow()
    from keras_mtl.datasets.corpus import open_corpus
    from keras_mtl.tflite.quantize_run import quantize_run

    cache = cache.expanduser()
    rate_hz, subset = source.settings.sample_rate_hz, source.recipe.data.scene_subset
    corpus = open_corpus(data, cache / "tfds", sample_rate_hz=rate_hz, scene_subset=subset)
    made = quantize_run(source, scheme, corpus, out, cache, epochs, seed)
    quantization = made.info["quantization"]
    metrics = {"before": quantization["before"], "after": made.info["metrics"]}
    document = {
        "schema": "keras_mtl.quantize/1",
        "run": str(made.path),
        "data": quantization["data"],
        "scheme": scheme,
        "engine": engine,
        "epochs": quantization["epochs"],
        "kept": quantization["kept"],
        "nearness": quantization["nearness"],
        "metrics": metrics,
    }
    answer(document, as_json, lambda: _lines(document, metrics))


def _lines(document: dict[str, Any], metrics: dict[str, Any]) -> list[str]:
    near = document["nearness"][document["kept"]]
    return [
        f"run      {document['run']}   ({document['scheme']}, {document['kept'].replace('_', '-')})",
        "before:",
        *metric_lines(metrics["before"]),
        "after:",
        *metric_lines(metrics["after"]),
        f"decides as the float network on {near['agreement']:.1%} of the calibration clips",
    ]
