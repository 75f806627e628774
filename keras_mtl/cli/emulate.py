"""`keras_mtl emulate`: runs artifacts on real interpreters and holds them against a target's limits."""

from __future__ import annotations

from pathlib import Path

import click

from keras_mtl.cli.options import (
    FILE,
    engines_option,
    json_option,
    load_network,
    network_options,
    runtime_option,
    timeout_option,
)
from keras_mtl.core import to_json, write_text
from keras_mtl.firmware_host.targets import target_names


@click.command("emulate")
@click.argument("artifacts", nargs=-1, required=True, metavar="ARTIFACT...")
@click.option(
    "--target", required=True, metavar="NAME_OR_FILE", help=f"{', '.join(target_names())}, or a TOML file of yours."
)
@engines_option
@runtime_option
@network_options
@click.option("--run", "run_folder", metavar="RUN", help="Also compare the artifact's features with this run's.")
@click.option("--html", type=FILE, help="Also write one self-contained page.")
@click.option("--report", "report_file", type=FILE, help="Also write what --json prints: the next baseline.")
@click.option(
    "--battery-mah",
    type=click.FloatRange(min=0, min_open=True),
    metavar="MAH",
    help="Also say for how many days a battery of that charge lasts, by the estimated energy.",
)
@click.option(
    "--battery-v",
    "battery_volts",
    type=click.FloatRange(min=0, min_open=True),
    default=3.0,
    show_default=True,
    metavar="VOLTS",
    help="Its voltage.",
)
@click.option(
    "--duty",
    type=click.FloatRange(min=0, max=1, min_open=True),
    default=1.0,
    show_default=True,
    metavar="PART",
    help="Part of the time in which the device listens.",
)
@timeout_option
@click.option(
    "--baseline",
    type=FILE,
    metavar="FILE",
    help="Also compare with an older report, as --report wrote it: bytes, MACs, arena, parity, engines.",
)
@click.option(
    "--tolerance",
    "tolerance_percent",
    type=click.FloatRange(min=0),
    default=0.0,
    metavar="PERCENT",
    help="By how much bytes, MACs and arena may be over the baseline's.",
)
@click.option(
    "--tolerance-lsb",
    type=click.FloatRange(min=0),
    default=0.5,
    metavar="LSB",
    help="By how much parity may be over the baseline's.",
)
@json_option
def command(
    artifacts: tuple[str, ...],
    target: str,
    engines: tuple[str, ...],
    runtime: str,
    hop_s: float | None,
    signature: str | None,
    run_folder: str | None,
    html: Path | None,
    report_file: Path | None,
    battery_mah: float | None,
    battery_volts: float,
    duty: float,
    timeout_s: float,
    baseline: Path | None,
    tolerance_percent: float,
    tolerance_lsb: float,
    as_json: bool,
) -> None:
    """Run each ARTIFACT on real interpreters and hold it against a target's limits.

    An ARTIFACT is a .tflite file, which may be the array of a C source or lie in an archive (.mltk.zip), or the folder
    of a streaming artifact. Of a file that this project did not make, figures are per inference unless --hop-s says how
    often it runs.

    Every interpreter runs in a process of its own. Parameters and multiply-accumulates are counted from the file, the
    arena is what TensorFlow Lite Micro used, and parity is the largest difference between any two interpreters and the
    reference outputs that came with the artifact, in steps of its output. A streaming artifact takes a recording from
    its start to its end, as on a device: probabilities and decoded events are compared too, and its memory is that of
    all members and of what is kept between them.
    Exit status 1: a check failed, or a figure is worse than the baseline's by more than the tolerance.

    \b
    Examples:
      keras_mtl emulate scenes.int8.tflite --target dcase-asc
      keras_mtl emulate scenes.int8.tflite --target stm32h743 --html report.html
      keras_mtl emulate scenes.int16x8.tflite --target my_board.toml --engine tflm --engine litert --json
      keras_mtl emulate joint.int8/ --target stm32h743
      keras_mtl emulate joint.int8/ --target stm32u585 --battery-mah 220 --duty 0.1
      keras_mtl emulate joint.int8/ --target nrf52840 --runtime c99
      keras_mtl emulate wake_word.tflite --target esp32-s3 --hop-s 0.03
      keras_mtl emulate scenes.int8.tflite --target rp2350 --report report.json
      keras_mtl emulate scenes.int8.tflite --target rp2350 --baseline report.json --tolerance 1
    """
    from keras_mtl.firmware_host.compute import Battery
    from keras_mtl.firmware_host.emulate import emulate
    from keras_mtl.firmware_host.report import REPORTS_SCHEMA, Baseline, Tolerance
    from keras_mtl.firmware_host.targets import load_target
    from keras_mtl.firmware_host.views import baseline_text, report_html, report_text

    held_against = load_target(target)
    features = None
    if run_folder is not None:
        from keras_mtl.runs import Run

        features = Run.load(run_folder).settings
    # All are read before any is run, so that wrong use is found at once.
    loaded = [(path, load_network(path, hop_s, signature)) for path in artifacts]
    older = None if baseline is None else Baseline.load(baseline)
    if older is not None:
        named = {"name": held_against.name}
        known = [{**each.facts.values, "path": path, "sha256": each.sha256} for path, each in loaded]
        older.require([{"artifact": about, "target": named} for about in known])
    battery = None if battery_mah is None else Battery(battery_mah, duty, battery_volts)
    reports = []
    for path, artifact in loaded:
        shown = click.format_filename(path)  # names of files need not be UTF-8, and reports are
        click.echo(f"running {shown} on {', '.join(engines)}", err=True)
        reports.append(emulate(artifact, held_against, engines, features, shown, timeout_s, battery, runtime))
    verdict = "passed" if all(report.passed for report in reports) else "failed"
    compared = older.compare(reports, Tolerance(tolerance_percent, tolerance_lsb)) if older else None
    documents = [report.to_dict() for report in reports]
    several = {"schema": REPORTS_SCHEMA, "reports": documents, "verdict": verdict}
    document = to_json(
        (documents[0] if len(documents) == 1 else several) | ({"baseline": compared} if compared else {})
    )
    if as_json:
        click.echo(document, nl=False)
    else:
        texts = [report_text(report) for report in reports] + ([baseline_text(compared)] if compared else [])
        click.echo("\n".join(texts), nl=False)
    # After the report: where a file can't be written, that is not lost.
    if report_file is not None:
        write_text(report_file, document)
        click.echo(f"wrote {report_file}", err=True)
    if html is not None:
        write_text(html, report_html(reports))
        click.echo(f"wrote {html}", err=True)
    if verdict == "failed" or (compared and compared["verdict"] == "failed"):
        raise click.exceptions.Exit(1)
