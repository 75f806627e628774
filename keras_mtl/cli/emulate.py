"""`keras_mtl emulate`: runs artifacts on real interpreters and holds them against a target's limits."""

from __future__ import annotations

from pathlib import Path

import click

from keras_mtl.cli.options import json_option
from keras_mtl.files import to_json, write_text

_ENGINES = ("tflm", "litert", "litert-reference", "tflite-runtime", "all")


@click.command("emulate")
@click.argument("artifacts", nargs=-1, required=True, metavar="ARTIFACT...")
@click.option("--target", required=True, metavar="NAME_OR_FILE", help="dcase-asc, stm32h743, or a TOML file of yours.")
@click.option(
    "--engine",
    "engines",
    type=click.Choice(_ENGINES),
    multiple=True,
    default=("all",),
    show_default=True,
    help="Interpreter to run; repeatable. A board runs tflm in any case: it measures the arena.",
)
@click.option("--run", "run_folder", metavar="RUN", help="Also compare the artifact's features with this run's.")
@click.option("--html", type=click.Path(dir_okay=False, path_type=Path), help="Also write one self-contained page.")
@click.option(
    "--timeout",
    "timeout_s",
    type=click.FloatRange(min=0.001),
    default=120.0,
    show_default=True,
    metavar="SECONDS",
    help="For each interpreter.",
)
@json_option
def command(
    artifacts: tuple[str, ...],
    target: str,
    engines: tuple[str, ...],
    run_folder: str | None,
    html: Path | None,
    timeout_s: float,
    as_json: bool,
) -> None:
    """Run each ARTIFACT (.tflite, or the folder of a set) on real interpreters and hold it against a target's limits.

    Every interpreter runs in a process of its own. Parameters and multiply-accumulates are counted from the file, the
    arena is what TensorFlow Lite Micro used, and parity is the largest difference between any two interpreters and the
    reference outputs that came with the artifact, in steps of its output. A set is run as a device would run it, its
    arena is that of all members and of what is kept between them, and probabilities and decoded events are compared.
    Exit status 1: a check failed.

    \b
    Examples:
      keras_mtl emulate scenes.int8.tflite --target dcase-asc
      keras_mtl emulate scenes.int8.tflite --target stm32h743 --html report.html
      keras_mtl emulate scenes.int16x8.tflite --target my_board.toml --engine tflm --engine litert --json
      keras_mtl emulate joint.int8/ --target stm32h743
    """
    from keras_mtl.firmware_host.emulator import emulate
    from keras_mtl.firmware_host.engines import ENGINES
    from keras_mtl.firmware_host.html import report_html
    from keras_mtl.firmware_host.set_emulator import emulate_set
    from keras_mtl.firmware_host.target import load_target
    from keras_mtl.firmware_host.text import report_text
    from keras_mtl.tflite.artifact import Artifact
    from keras_mtl.tflite.artifact_set import ArtifactSet, is_set

    held_against = load_target(target)
    features = None
    if run_folder is not None:
        from keras_mtl.run_folder import Run

        features = Run.load(run_folder).settings
    # All are read before any is run, so that wrong use is found at once.
    loaded = [(path, ArtifactSet.load(path) if is_set(path) else Artifact.load(path)) for path in artifacts]
    names = ENGINES if "all" in engines else engines
    reports = []
    for path, artifact in loaded:
        shown = click.format_filename(path)  # names of files need not be UTF-8, and reports are
        click.echo(f"running {shown} on {', '.join(names)}", err=True)
        if isinstance(artifact, ArtifactSet):
            reports.append(emulate_set(artifact, held_against, names, features, shown, timeout_s))
        else:
            reports.append(emulate(artifact, held_against, names, features, shown, timeout_s))
    verdict = "passed" if all(report.passed for report in reports) else "failed"
    if not as_json:
        click.echo("\n".join(report_text(report) for report in reports), nl=False)
    elif len(reports) == 1:
        click.echo(reports[0].to_json(), nl=False)
    else:
        documents = [report.to_dict() for report in reports]
        click.echo(to_json({"schema": "keras_mtl.reports/1", "reports": documents, "verdict": verdict}), nl=False)
    # After the report: where the page can't be written, that is not lost.
    if html is not None:
        write_text(html, report_html(reports))
        click.echo(f"wrote {html}", err=True)
    if verdict == "failed":
        raise click.exceptions.Exit(1)
