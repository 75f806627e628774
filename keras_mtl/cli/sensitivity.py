"""`keras_mtl sensitivity`: what each layer costs when it alone is quantized."""

from __future__ import annotations

from pathlib import Path

import click

from keras_mtl.cli import options
from keras_mtl.core import TargetError
from keras_mtl.tflite.qat import SCHEMES


@click.command("sensitivity")
@options.run_argument
@click.option("--scheme", required=True, type=click.Choice(list(SCHEMES)), help="Weights are 8-bit in both.")
@options.data_option
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
    data: str,
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

    \b
    Examples:
      keras_mtl sensitivity runs/real --scheme int8 --data DIR
      keras_mtl sensitivity runs/real --scheme int8 --data DIR --target stm32h743 --plot sensitivity.png
      keras_mtl sensitivity runs/real --scheme int16x8 --data soundscapes --clips 0 --json
      keras_mtl sensitivity runs/real --part events --scheme int8 --data DIR
    """
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


def _arena_limit(name_or_file: str) -> tuple[str, int]:
    """A target's name, and the bytes that its check of the arena allows."""
    from keras_mtl.firmware_host.emulate import arena_limit_bytes
    from keras_mtl.firmware_host.targets import load_target

    target = load_target(name_or_file)
    limit = arena_limit_bytes(target)
    if limit is None:
        raise TargetError(f"target {target.name} has no limit for an arena", hint="name a board, as stm32h743")
    return target.name, limit
