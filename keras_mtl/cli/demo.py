"""`keras_mtl demo`: the whole pipeline on the embedded data."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from keras_mtl.cli.options import answer, cache_option, json_option, metric_lines, quiet_tensorflow


@click.command("demo")
@click.option(
    "--out", type=click.Path(path_type=Path), default=Path("demo"), show_default=True, help="The folder to write."
)
@cache_option
@json_option
def command(out: Path, cache: Path, as_json: bool) -> None:
    """Train, quantize, convert, emulate and bundle on the embedded data, in minutes on two cores.

    The data are generated, nothing is downloaded. A folder that an earlier demo wrote is replaced.

    \b
    Examples:
      keras_mtl demo --out demo
      keras_mtl demo --out elsewhere --json
    """
    from keras_mtl.recipes import load_recipe

    quiet_tensorflow()
    from keras_mtl.demo import run_demo

    document = run_demo(load_recipe("mt"), "soundscapes", out, cache.expanduser())
    answer(document, as_json, lambda: _lines(document))


def _lines(document: dict[str, Any]) -> list[str]:
    lines = ["", *metric_lines(document["run"]["metrics"])]
    for scheme, quantized in document["quantized"].items():
        lines.append(f"  {scheme:<8} scene accuracy {quantized['metrics']['scenes']['accuracy']:.3f}")
    lines += ["", f"{'artifact':<10}{'parameters':>12}{'arena':>12}{'parity':>12}   verdicts"]
    for kind, artifact in document["artifacts"].items():
        checks = artifact["checks"]
        cells = [f"{checks['parameter_bytes']:,} B", _cell(checks.get("arena_bytes"), " B")]
        cells.append(_cell(checks.get("parity_lsb"), " LSB"))
        verdicts = ", ".join(f"{target} {verdict}" for target, verdict in artifact["verdicts"].items())
        lines.append(f"{kind:<10}{cells[0]:>12}{cells[1]:>12}{cells[2]:>12}   {verdicts}")
    lines += ["", f"report      {document['report']}", f"timeline    {document['timeline']}"]
    lines += [f"artifact    {artifact['path']}" for artifact in document["artifacts"].values()]
    lines.append(f"firmware    {document.get('firmware', 'none: no artifact passed')}")
    lines.append(f"{sum(document['seconds'].values()):.0f} s in all")
    return lines


def _cell(value: float | None, unit: str) -> str:
    return "-" if value is None else f"{value:,}{unit}"
