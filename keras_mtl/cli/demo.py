"""`keras_mtl demo`: the whole pipeline on the embedded data."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from keras_mtl.cli.options import PATH, cache_option, json_option, metric_lines, print_result, quiet_tensorflow
from keras_mtl.core import Column, Table

_COLUMNS = (
    Column("artifact", 0),
    Column("parameter bytes", lambda row: row[1].get("parameter_bytes"), ","),
    Column("arena bytes", lambda row: row[1].get("arena_bytes"), ","),
    Column("parity LSB", lambda row: row[1].get("parity_lsb"), ","),
    Column("verdicts", lambda row: ", ".join(f"{target} {verdict}" for target, verdict in row[2].items())),
)
#: Of the streaming artifact of both tasks.
_BOARDS = (
    Column("both tasks, streaming int8, on", 0),
    Column("verdict", lambda row: row[1]["verdict"]),
    Column("why", lambda row: row[1]["why"]),
)


@click.command("demo")
@click.option("--out", type=PATH, default=Path("demo"), help="The folder to write.")
@cache_option
@json_option
def command(out: Path, cache: Path, as_json: bool) -> None:
    """Train, quantize, convert, emulate, bundle and listen on the embedded data, in minutes on two cores.

    The data are generated, nothing is downloaded. A folder that is as an earlier demo left it is replaced; any other
    that holds something is refused.

    \b
    Examples:
      keras_mtl demo --out demo
      keras_mtl demo --out elsewhere --json
    """
    from keras_mtl.recipes import load_recipe

    quiet_tensorflow()
    from keras_mtl.demo import run_demo

    document = run_demo(load_recipe("mt"), "soundscapes", out, cache)
    print_result(document, as_json, lambda: _lines(document))


def _lines(document: dict[str, Any]) -> list[str]:
    lines = ["", *metric_lines(document["run"]["metrics"])]
    for scheme, quantized in document["quantized"].items():
        scores = [f"scene accuracy {quantized['metrics']['scenes']['accuracy']:.3f}"]
        if "events" in quantized["metrics"]:
            scores.append(f"event F1 {quantized['metrics']['events']['event_f1_macro']:.3f}")
        lines.append(f"  {scheme:<8} {', '.join(scores)}")
    rows = [(kind, artifact["checks"], artifact["verdicts"]) for kind, artifact in document["artifacts"].items()]
    lines += [
        "",
        *Table(_COLUMNS, rows).text(),
        "",
        *Table(_BOARDS, list(document["joint"]["boards"].items())).text(),
        "",
        f"report      {document['report']}",
        f"timeline    {document['timeline']}",
    ]
    paths = [artifact["path"] for artifact in document["artifacts"].values()] + [document["joint"]["path"]]
    lines += [f"artifact    {path}" for path in paths]
    lines.append(f"firmware    {document.get('firmware', 'none: no board holds the streaming artifact')}")
    lines.append(f"{sum(document['seconds'].values()):.0f} s in all")
    return lines
