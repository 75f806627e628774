"""`keras_mtl sensitivity`: what each layer costs when it alone is quantized, and a mix of schemes for a board."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from keras_mtl.cli import options
from keras_mtl.core import Column, Table, TargetError, files
from keras_mtl.tflite.qat import SCHEMES

if TYPE_CHECKING:
    from keras_mtl.qat import Mix, OperatorCost


@click.command("sensitivity")
@click.argument("run", type=options.PATH, metavar="RUN_OR_MODEL")
@click.option("--scheme", required=True, type=click.Choice(list(SCHEMES)), help="Weights are 8-bit in both.")
@click.option(
    "--data",
    metavar="DIR",
    help="Of a run: folder that holds the TAU and DESED folders, or the word 'soundscapes': the embedded data.",
)
@click.option(
    "--calibration",
    type=options.FILE,
    metavar="NPZ",
    help="Of a .keras file: examples, an array for each input by its name, or one.",
)
@click.option(
    "--out",
    type=options.FOLDER,
    metavar="DIR",
    help="Of a .keras file, with --target: folder for scheme.toml, twin.keras and model.tflite of the best mix.",
)
@click.option("--epochs", type=click.IntRange(min=0), help="For --out: passes of training; 0 calibrates only.  [0]")
@click.option("--labels", type=options.FILE, metavar="NPZ", help="For --epochs: as of `quantize`.  [the float outputs]")
@click.option("--part", type=click.Choice(["scenes", "events"]), default="scenes", help="The encoder with one decoder.")
@click.option(
    "--target", metavar="NAME_OR_FILE", help="A board: also propose a mix of int8 and int16 that fits its arena."
)
@click.option(
    "--clips",
    type=click.IntRange(min=0),
    help="Evaluation clips, evenly spaced over the split; 0 for all. [500 of scenes, 40 of events]",
)
@click.option("--plot", type=options.FILE, metavar="FILE", help="Also draw it, a bar for each layer.")
@options.cache_option
@options.json_option
def command(
    run: Path,
    scheme: str,
    data: str | None,
    calibration: Path | None,
    out: Path | None,
    epochs: int | None,
    labels: Path | None,
    part: str,
    target: str | None,
    clips: int | None,
    plot: Path | None,
    cache: Path,
    as_json: bool,
) -> None:
    """Quantize each layer of RUN's encoder and a decoder alone; say what it costs against the float network.

    Signal to noise in dB at the output (logits or probabilities) and at the embeddings, for scenes the change of
    accuracy on evaluation clips, and how much is decided as by the float network. Nothing is trained, and no file is
    written but the plot.

    With a target, for scenes, a mix of int8 and int16 activations is proposed that keeps within the target's arena. It
    is an estimate and advice, since a file has one scheme: all of int16x8 if that fits, or else two files.

    Of a .keras file with any functional model each operator is measured on --calibration. With a target, runs of layers
    in 16 bits with the rest in 8 are built, planned and measured; --out writes the best one that fits as a scheme for
    `quantize`, as a twin, trained where there are --epochs, and as a file.

    \b
    Examples:
      keras_mtl sensitivity runs/real --scheme int8 --data DIR
      keras_mtl sensitivity runs/real --scheme int8 --data DIR --target stm32h743 --plot sensitivity.png
      keras_mtl sensitivity runs/real --scheme int16x8 --data soundscapes --clips 0 --json
      keras_mtl sensitivity runs/real --part events --scheme int8 --data DIR
      keras_mtl sensitivity model.keras --scheme int8 --calibration x.npz --target rp2040 --out mixed
    """
    if run.suffix == ".keras":
        if data or part != "scenes" or clips is not None or plot:
            raise click.UsageError("--data, --part, --clips and --plot belong to a run, not to a .keras file")
        if calibration is None:
            raise click.UsageError("a .keras file needs --calibration: some hundred examples of real inputs")
        if out is not None and target is None:
            raise click.UsageError("--out is for a mix that fits a board: give --target")
        if (out is None and epochs) or (labels is not None and not epochs):
            raise click.UsageError("--labels are for a training, --epochs, and that is for --out")
        _of_model(run, scheme, calibration, target, out, epochs or 0, labels, as_json)
        return
    if calibration or out or epochs is not None or labels:
        raise click.UsageError("--calibration, --out, --epochs and --labels belong to a .keras file, not to a run")
    if data is None:
        raise click.UsageError("Missing option '--data'.")
    from keras_mtl.runs import Run, open_data

    if target is not None and part != "scenes":
        raise click.UsageError("--target proposes for the scene part only: the event part is a set of files")
    limit = None if target is None else _arena_limit(target)
    source = Run.load(run)
    options.quiet_tensorflow()
    from keras_mtl.tflite.sensitivity import CLIPS, measure_run, require_float, sensitivity_lines

    require_float(source)
    corpus = open_data(source, data, cache, scoring=True)

    def report(scheme: str, done: int, of: int) -> None:
        click.echo(f"{scheme}: {done:,} of {of:,} clips", err=True)

    most = CLIPS[part] if clips is None else clips
    document = measure_run(source, scheme, corpus, cache, part, most, limit, report).to_dict()
    if plot is not None:
        from keras_mtl.tflite.sensitivity import plot_sensitivity

        plot_sensitivity(document, plot)
    options.print_result(document, as_json, lambda: [options.data_line(corpus.stamp), *sensitivity_lines(document)])


def _of_model(
    path: Path,
    scheme: str,
    calibration: Path,
    target: str | None,
    out: Path | None,
    epochs: int,
    labels: Path | None,
    as_json: bool,
) -> None:
    """A functional model: costs, and the best mix as files."""
    from keras_mtl.firmware_host.targets import load_target

    board = None if target is None else load_target(target)
    options.quiet_tensorflow()
    from keras_mtl.qat import convert_file, quantize_file, sensitivity_file

    costs, mixes = sensitivity_file(path, calibration, scheme, board, lambda line: click.echo(line, err=True))
    document: dict[str, Any] = {
        "schema": "keras_mtl.sensitivity_model/1",
        "model": str(path),
        "scheme": scheme,
        "operators": [vars(row) for row in costs],
        "target": board and board.name,
        "mixes": [{**vars(mix), "schemes": {**vars(mix.schemes)}} for mix in mixes],
        "written": None,
    }
    if out is not None:
        best, twin, file = mixes[0].schemes, out / "twin.keras", out / "model.tflite"
        files.write_text(out / "scheme.toml", best.to_toml())
        near = quantize_file(path, twin, calibration, best.scheme, best.layers, epochs=epochs, labels=labels)
        convert_file(twin).save(file)
        document["written"] = {
            "scheme": str(out / "scheme.toml"),
            "twin": str(twin),
            "file": str(file),
            "epochs": epochs,
            "signal_to_noise_db": near.outputs,
            "agreement": near.agreement,
        }
    options.print_result(document, as_json, lambda: _model_lines(document, costs, mixes))


def _model_lines(document: dict[str, Any], costs: list[OperatorCost], mixes: list[Mix]) -> list[str]:
    columns = (
        Column("operator", lambda row: row.name),
        Column("kind", lambda row: row.kind),
        Column("output dB", lambda row: row.signal_to_noise_db, ".1f"),
    )
    lines = [
        f"model    {document['model']}   ({document['scheme']})",
        "signal to noise in dB, each operator rounding alone",
        *Table(columns, costs).text(),
    ]
    if mixes:
        mixed = (
            Column("16 bits", lambda mix: f"{mix.first} to {mix.last}" if mix.first else "none"),
            Column("arena bytes", lambda mix: mix.arena_bytes, ",d"),
            Column("output dB", lambda mix: mix.signal_to_noise_db, ".1f"),
        )
        lines += ["", f"calibrated, with an arena that fits {document['target']}", *Table(mixed, mixes).text()]
    if written := document["written"]:
        decibels = ", ".join(f"{name} {value:g} dB" for name, value in written["signal_to_noise_db"].items())
        lines += [
            "",
            *(f"{key:<7}  {written[key]}" for key in ("scheme", "twin", "file")),
            f"after {written['epochs']} epochs: {decibels}",
            f"decides as the float network on {written['agreement']:.1%} of the examples",
        ]
    return lines


def _arena_limit(name_or_file: str) -> tuple[str, int]:
    """A target's name, and the bytes that its check of the arena allows."""
    from keras_mtl.firmware_host.emulate import arena_limit_bytes
    from keras_mtl.firmware_host.targets import load_target

    target = load_target(name_or_file)
    limit = arena_limit_bytes(target)
    if limit is None:
        raise TargetError(f"target {target.name} has no limit for an arena", hint="name a board, as stm32h743")
    return target.name, limit
