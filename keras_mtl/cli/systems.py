"""`keras_mtl systems`: the table of systems, counted from the built networks, against the paper."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from keras_mtl.cli.options import FILE, json_option, print_result, quiet_tensorflow
from keras_mtl.core import Column, Table

if TYPE_CHECKING:
    from keras_mtl.cost import SystemRow
    from keras_mtl.firmware_host.targets import Target


@click.command("systems")
@click.option("--layers", metavar="ID", help="The rows of one system, layer by layer, instead of the table.")
@click.option("--plot", type=FILE, metavar="FILE", help="Also draw parameters against MACs.")
@json_option
def command(layers: str | None, plot: Path | None, as_json: bool) -> None:
    """The networks that recipes can name: what they cost, counted from the built networks, beside the paper's figures.

    Parameters are the trainable ones. MACs are those of one second of audio: weights x positions of convolutions, dense
    and recurrent layers; and in the convention of the system's source where that counts otherwise. The last column
    holds the network against the limits of DCASE's scene task at 16 bit a parameter.

    \b
    Examples:
      keras_mtl systems --plot systems.png
      keras_mtl systems --layers mt
      keras_mtl systems --json
    """
    from keras_mtl.firmware_host.targets import load_target
    from keras_mtl.recipes import system_of

    one = system_of(layers).id if layers else None
    quiet_tensorflow()
    from keras_mtl.cost import count_systems

    rows = count_systems()
    budget = load_target("dcase-asc")
    if plot is not None:
        from keras_mtl.cost import plot_systems

        plot_systems(rows, plot, budget.parameter_bytes or 0, budget.macs_per_second or 0)
    if one:
        row = next(row for row in rows if row.system.id == one)
        print_result({"schema": "keras_mtl.layers/1", **_layers(row)}, as_json, lambda: _layer_lines(row))
        return
    document = {"schema": "keras_mtl.systems/1", "systems": [_plain(row, budget) for row in rows]}
    print_result(document, as_json, lambda: _lines(rows, budget))


def _over_budget(row: SystemRow, budget: Target) -> dict[str, str]:
    """What keeps a system out of the budget, by a short name, with value and limit; empty where nothing does."""
    checks = (
        ("bytes", "parameter bytes", row.parameter_bytes_16bit, budget.parameter_bytes),
        ("MACs", "MACs per second", row.macs_per_second, budget.macs_per_second),
    )
    return {
        short: f"{name} {value:,.0f} > {limit:,}"
        for short, name, value, limit in checks
        if limit is not None and value > limit
    }


def _plain(row: SystemRow, budget: Target) -> dict[str, Any]:
    system = row.system
    over = _over_budget(row, budget)
    return {
        "id": system.id,
        "tasks": list(system.tasks),
        "basis": system.basis,
        "params": row.params,
        "macs_per_second": _whole(row.macs_per_second),
        "paper_params": system.paper_params,
        "paper_macs_per_second": system.paper_macs_per_second,
        "paper_accuracy_percent": system.paper_accuracy,
        "paper_event_f1_percent": system.paper_event_f1,
        "folded_params": row.costs["default"].folded_params,
        "parameter_bytes_16bit": row.parameter_bytes_16bit,
        "fits_asc_budget": not over,
        "over_asc_budget": list(over.values()),
        "audio_seconds": system.audio_seconds,
        "frames": system.frames,
        "conventions": {name: cost.macs for name, cost in row.costs.items()},
        "source_convention": system.convention,
        "source_macs": system.source_macs,
        "remark": system.remark,
        "features": system.features.to_dict(),
    }


def _lines(rows: list[SystemRow], budget: Target) -> list[str]:
    columns = (
        Column("system", "id"),
        Column("tasks", lambda row: " + ".join(row["tasks"])),
        Column("params", "params", ","),
        Column("paper", "paper_params", ","),
        Column("M MAC/s", lambda row: row["macs_per_second"] / 1e6, ",.3f"),
        Column("paper", lambda row: f"{row['paper_macs_per_second'] / 1e6:,.3f}".rstrip("0").rstrip("."), ">"),
        Column("as its source counts", _as_its_source_counts),
        Column("bytes, 16 bit", "parameter_bytes_16bit", ","),
        Column("dcase-asc", "verdict"),
    )
    verdicts = [f"over: {', '.join(over)}" if over else "fits" for over in (_over_budget(row, budget) for row in rows)]
    shown = [_plain(row, budget) | {"verdict": verdict} for row, verdict in zip(rows, verdicts, strict=True)]
    limits = (
        f"dcase-asc: at most {budget.parameter_bytes:,} bytes of parameters and {budget.macs_per_second:,} MACs per "
        "second; --json has values and limits"
    )
    width = max(len(row["id"]) for row in shown)
    remarks = [f"  {row['id']:<{width}}  {row['basis']}; {row['remark']}" for row in shown if row["remark"]]
    return [*Table(columns, shown).text(), "", limits, *remarks]


def _as_its_source_counts(row: dict[str, Any]) -> str:
    convention, seconds = row["source_convention"], row["audio_seconds"]
    if convention == "default":
        return ""
    return f"{convention} {row['conventions'][convention]:,}" + (f" in {seconds} s" if seconds > 1 else "")


def _layers(row: SystemRow) -> dict[str, Any]:
    layers = [
        {
            "name": layer.name,
            "kind": layer.kind,
            "output_shape": list(layer.output_shape[1:]),
            "params": layer.params,
            "folded_params": layer.folded_params,
            "macs": {name: cost.rows[i].macs for name, cost in row.costs.items()},
        }
        for i, layer in enumerate(row.costs["default"].rows)
    ]
    return {"id": row.system.id, "audio_seconds": row.system.audio_seconds, "layers": layers}


def _layer_lines(row: SystemRow) -> list[str]:
    columns = (
        Column("layer", "name"),
        Column("kind", "kind"),
        Column("output", lambda layer: " x ".join(map(str, layer["output_shape"]))),
        Column("params", "params", ","),
        Column("MACs", lambda layer: layer["macs"]["default"], ","),
    )
    name, cost = f"in all, {row.system.audio_seconds} s of audio", row.costs["default"]
    total = {"name": name, "kind": "", "output_shape": (), "params": cost.params, "macs": {"default": cost.macs}}
    return Table(columns, [*_layers(row)["layers"], total]).text()


def _whole(value: float) -> float:
    return int(value) if float(value).is_integer() else value
