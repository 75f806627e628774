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
@click.argument("run", type=options.PATH, metavar="RUN_OR_MODEL")
@click.option(
    "--scheme",
    required=True,
    metavar="NAME_OR_FILE",
    help="int8 or int16x8, weights are 8-bit in both; of a .keras file also a TOML or JSON file of schemes by layer.",
)
@click.option(
    "--data",
    metavar="DIR",
    help="Of a run: folder that holds the TAU and DESED folders, or the word 'soundscapes': the embedded data.",
)
@click.option(
    "--out", required=True, type=options.PATH, metavar="RUN_OR_MODEL", help="The run folder or .keras file to write."
)
@click.option(
    "--calibration",
    type=options.FILE,
    metavar="NPZ",
    help="Of a .keras file: examples, an array for each input by its name, or one.",
)
@click.option(
    "--labels",
    type=options.FILE,
    metavar="NPZ",
    help="Of a .keras file: for --epochs, an array for each output; whole numbers are classes.  [the float outputs]",
)
@click.option(
    "--layer",
    "layers",
    multiple=True,
    metavar="NAME=SCHEME",
    help="Of a .keras file: another scheme for the layers of this name or pattern, as 'block_1_*=int16x8'.",
)
@click.option(
    "--method",
    metavar="NAME",
    help="Of a .keras file: how ranges are set: error, minmax, percentile or moving_average.  [error]",
)
@click.option("--equalise", is_flag=True, help="Of a .keras file: equal weights across layers, before the calibration.")
@click.option(
    "--correct-biases", is_flag=True, help="Of a .keras file: the mean that rounding adds out of biases, after it."
)
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
@click.option(
    "--epochs",
    type=click.IntRange(min=0),
    help="Passes over the clips; 0 calibrates only. [recipe's; of a .keras file 0]",
)
@click.option("--seed", type=int, help="Seed of the fine-tuning. [the run's]")
@options.cache_option
@options.json_option
def command(
    run: Path,
    scheme: str,
    data: str | None,
    out: Path,
    calibration: Path | None,
    labels: Path | None,
    layers: tuple[str, ...],
    method: str | None,
    equalise: bool,
    correct_biases: bool,
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

    Of a .keras file with any functional model the ranges are set on --calibration, and --epochs trains the twin on
    these examples; `convert`, `emulate` and `bundle` take it from there.

    With --engine tfmot, tensorflow-model-optimization quantizes the scene part instead, a second opinion on int8.

    \b
    Examples:
      keras_mtl quantize runs/real --scheme int8 --data DIR --out runs/real-int8
      keras_mtl quantize runs/real --scheme int16x8 --data DIR --out runs/real-int16x8 --epochs 0
      keras_mtl quantize runs/real --part joint --scheme int8 --data DIR --out runs/real-joint
      keras_mtl quantize runs/real --scheme int8 --engine tfmot --data DIR --out runs/real-tfmot
      keras_mtl quantize model.keras --scheme int8 --calibration x.npz --out twin.keras
      keras_mtl quantize model.keras --scheme int8 --calibration x.npz --labels y.npz --epochs 5 --out twin.keras
      keras_mtl quantize model.keras --scheme int8 --equalise --correct-biases --calibration x.npz --out twin.keras
      keras_mtl quantize model.keras --scheme scheme.toml --calibration x.npz --out twin.keras
    """
    if run.suffix == ".keras":
        if data or part != "scenes" or cells or engine != "native":
            raise click.UsageError("--data, --part, --cells and --engine belong to a run, not to a .keras file")
        given = {"method": method or "error", "equalised": equalise, "corrected": correct_biases}
        given |= {"learning": ranges or LEARNING[0], "epochs": epochs or 0, "labels": labels, "seed": seed or 0}
        _quantize_model(run, scheme, out, calibration, layers, given, as_json)
        return
    if calibration or labels or layers or method or equalise or correct_biases:
        raise click.UsageError(
            "--calibration, --labels, --layer, --method, --equalise and --correct-biases belong to a .keras file, "
            "not to a run"
        )
    if scheme not in SCHEMES:
        raise click.UsageError(f"--scheme {scheme} is none of {', '.join(SCHEMES)}, which a run takes")
    if data is None:
        raise click.UsageError("Missing option '--data'.")
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


def _quantize_model(
    path: Path,
    scheme: str,
    out: Path,
    calibration: Path | None,
    layers: tuple[str, ...],
    given: dict[str, Any],
    as_json: bool,
) -> None:
    """The twin of a functional model; `given` are options of `quantize_file`."""
    if calibration is None:
        raise click.UsageError("a .keras file needs --calibration: some hundred examples of real inputs")
    if given["labels"] is not None and not given["epochs"]:
        raise click.UsageError("--labels are for a training: give --epochs")
    pairs = [each.rpartition("=") for each in layers]
    if any(not name for name, _, _ in pairs):
        raise click.UsageError("--layer takes NAME=SCHEME")
    options.quiet_tensorflow()
    from keras_mtl.qat import quantize_file, read_scheme

    schemes = read_scheme(scheme)
    named = {name: chosen for name, _, chosen in pairs}
    by_layer = named | {name: chosen for name, chosen in schemes.layers.items() if name not in named}
    near = quantize_file(path, out, calibration, schemes.scheme, by_layer, **given)
    document = {
        "schema": "keras_mtl.quantize_model/1",
        "model": str(path),
        "twin": str(out),
        "scheme": schemes.scheme,
        "layers": by_layer,
        "method": given["method"],
        "equalised": given["equalised"],
        "corrected": given["corrected"],
        "epochs": given["epochs"],
        "signal_to_noise_db": near.outputs,
        "agreement": near.agreement,
    }
    decibels = ", ".join(f"{name} {value:g} dB" for name, value in near.outputs.items())
    mixed = f", {len(by_layer)} layers or patterns otherwise" if by_layer else ""
    lines = [
        f"twin     {out}   ({schemes.scheme}{mixed}, {given['epochs']} epochs)",
        f"signal over quantization noise: {decibels}",
        f"decides as the float network on {near.agreement:.1%} of the examples",
    ]
    options.print_result(document, as_json, lambda: lines)


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
