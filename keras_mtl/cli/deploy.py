"""`keras_mtl deploy`: from a float run to a firmware folder in one command."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from keras_mtl.cli.options import PATH, cache_option, json_option, print_result, quiet_tensorflow
from keras_mtl.core import RunError, VerdictFailed, files

if TYPE_CHECKING:
    from keras_mtl.firmware_host.report import Report

SCHEMA = "keras_mtl.deploy/1"


@click.command("deploy")
@click.argument("run", type=PATH)
@click.option("--data", required=True, metavar="DIR", help="The data of the run: to fine-tune, calibrate and score on.")
@click.option("--target", required=True, metavar="NAME_OR_FILE", help="A board, as stm32h743, or a TOML file of yours.")
@click.option("--out", required=True, type=PATH, metavar="DIR", help="The folder to make.")
@click.option("--scheme", type=click.Choice(("int8", "int16x8")), default="int8", help="The number format.")
@click.option(
    "--epochs", type=click.IntRange(0), help="Passes of the fine-tuning; 0 calibrates only.  [default: the recipe's]"
)
@cache_option
@json_option
def command(
    run: Path, data: str, target: str, out: Path, scheme: str, epochs: int | None, cache: Path, as_json: bool
) -> None:
    """Quantize a float RUN, convert it to a streaming artifact, emulate it for a board, and write the firmware folder.

    It is `quantize`, `convert`, `emulate` and `bundle` one after the other, for all that RUN was trained on. Into DIR
    go `run` (quantized, with its figures), `artifact`, `report.json`, `report.html` and `firmware`. Where the board
    can't hold it, the report says why, there is no `firmware`, and the exit status is 1.

    \b
    Examples:
      keras_mtl deploy runs/mine --data DIR --target stm32h743 --out mine
      keras_mtl deploy runs/mine --data DIR --target my_board.toml --scheme int16x8 --out mine16 --json
    """
    from keras_mtl.firmware_host.targets import load_target
    from keras_mtl.runs import Run

    held_against, source = load_target(target), Run.load(run)
    if not files.is_free(out):
        raise RunError(f"{out} holds something already", hint="name another folder")
    quiet_tensorflow()
    with files.new_folder(out) as folder:
        document, report = _deployed(source, data, held_against, out, folder, scheme, epochs, cache)
    print_result(document, as_json, lambda: _lines(document))
    if not report.passed:
        failed = ", ".join(check.name for check in report.checks if not check.ok)
        raise VerdictFailed(f"{held_against.name} can't hold it: {failed}", hint=f"see {out / 'report.html'}")


def _deployed(
    source: Any, data: str, target: Any, out: Path, folder: Path, scheme: str, epochs: int | None, cache: Path
) -> tuple[dict[str, Any], Report]:
    """Every stage into `folder`, named by the paths that its files will have in `out`."""
    from keras_mtl.firmware_host.bundle import write_bundle
    from keras_mtl.firmware_host.emulate import emulate
    from keras_mtl.firmware_host.views import report_html
    from keras_mtl.runs import open_data
    from keras_mtl.tflite.convert import convert
    from keras_mtl.tflite.quantize import quantize

    tasks = source.info["tasks"]
    part = "joint" if len(tasks) > 1 else tasks[0]
    corpus = open_data(source, data, cache)
    click.echo(f"quantizing {part} to {scheme}", err=True)
    quantized = quantize(source, scheme, corpus, folder / "run", cache, part, epochs=epochs)
    click.echo("converting", err=True)
    artifact = convert(quantized, part, scheme, "stream")
    artifact.save(folder / "artifact")
    click.echo(f"emulating for {target.name}", err=True)
    report = emulate(artifact, target, path=str(out / "artifact"))
    report.save(folder / "report.json")
    files.write_text(folder / "report.html", report_html([report]))
    if report.passed:
        write_bundle([(artifact, report)], folder / "firmware")
    return {
        "schema": SCHEMA,
        "out": str(out),
        "target": target.name,
        "part": part,
        "format": scheme,
        "labels": artifact.facts.labels.to_dict(),
        "metrics": {"before": quantized.info["quantization"]["before"], "after": quantized.info["metrics"]},
        "checks": {check.name: check.value for check in report.checks},
        "verdict": report.verdict,
        "firmware": str(out / "firmware") if report.passed else None,
    }, report


def _lines(document: dict[str, Any]) -> list[str]:
    from keras_mtl.cli.options import metric_lines

    out = document["out"]
    return [
        "before (float):",
        *metric_lines(document["metrics"]["before"]),
        f"after ({document['format']}):",
        *metric_lines(document["metrics"]["after"]),
        f"run       {out}/run",
        f"artifact  {out}/artifact",
        f"report    {out}/report.html   ({document['target']}: {document['verdict']})",
        *([f"firmware  {document['firmware']}"] if document["firmware"] else []),
    ]
