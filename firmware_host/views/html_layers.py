"""What each layer costs, on a report's page: bars of MACs, weights and activations, and the table of all operators."""

from __future__ import annotations

from html import escape

from keras_mtl.core import Column, Html, Table
from keras_mtl.firmware_host.compute import OpRow
from keras_mtl.firmware_host.report import Report
from keras_mtl.firmware_host.views.html_svg import bars
from keras_mtl.firmware_host.views.html_tables import number, span
from keras_mtl.firmware_host.views.names import short_name
from keras_mtl.firmware_host.views.text import operator_name

_MOST_BARS = 48
_LEFT, _LEFT_OF_SETS = 218, 300


def layers_section(report: Report) -> str:
    """The section on layers."""
    audio, total = report.artifact.get("audio_seconds"), report.artifact.get("macs_per_second")
    each = f"{number(total)} MACs for a second of audio" if total is not None else "MACs that can't all be counted"
    written = report.artifact.get("activation_bytes_per_second")
    each += f", in which operators write {number(written)} bytes of activations" if written is not None else ""
    lead = f"{each}; {number(report.artifact.get('parameter_bytes'))} bytes of weights and other constants"
    told = f"; one inference hears {audio:g} s" if audio and not report.artifact.get("members") else ""
    parts = ["<h2>Layers</h2>", f"<p>{escape(lead + told)}.</p>", _bars(report)]
    parts.append(f"<details><summary>All {len(report.ops)} operators</summary>{_table(report)}</details>")
    return "\n".join(parts)


def layer_name(report: Report, row: OpRow) -> str:
    """A short name; in a set with its member."""
    member, _, rest = row.name.partition("/")
    return f"{member}: {short_name(rest)}" if rest and report.artifact.get("members") else short_name(row.name)


def _bars(report: Report) -> str:
    costly = [row for row in report.ops if row.macs or row.weight_bytes > 64]
    costly = sorted(sorted(costly, key=lambda row: -(row.macs or 0))[:_MOST_BARS], key=lambda row: row.index)
    rows = []
    for row in costly:
        name = f"{row.index} {layer_name(report, row)}"
        values = (
            (row.macs or 0, "macs", f"{name}: {number(row.macs)} MACs of one inference"),
            (row.weight_bytes, "weights", f"{name}: {row.weight_bytes:,} bytes of constants"),
            (row.activation_bytes, "activation", f"{name}: {row.activation_bytes:,} bytes of outputs"),
        )
        rows.append((name, values))
    if not rows:
        return ""
    units = "MACs of one inference|bytes of weights|bytes of outputs"
    left = _LEFT_OF_SETS if report.artifact.get("members") else _LEFT
    return bars(rows, left, "MACs, weights and outputs of the layers", units)


def _table(report: Report) -> str:
    columns = (
        Column("#", "index"),
        Column("operator", operator_name),
        Column("layer", lambda row: span("", layer_name(report, row), row.name)),
        Column("inputs", lambda row: Html("<br>".join(map(escape, _typed(row))))),
        Column("output", lambda row: Html("<br>".join(map(escape, _outputs(row))))),
        Column("MACs", "macs", ","),
        Column("weight bytes", "weight_bytes", ","),
        Column("activation bytes", "activation_bytes", ","),
    )
    return Table(columns, report.ops).html()


def _outputs(row: OpRow) -> list[str]:
    if not row.output_dtypes:  # a report of before all outputs were told
        return [_shaped(row.output_dtype, row.output_shape)]
    return [_shaped(dtype, shape) for dtype, shape in zip(row.output_dtypes, row.output_shapes, strict=False)]


def _typed(row: OpRow) -> list[str]:
    return [_shaped(dtype, shape) for dtype, shape in zip(row.input_dtypes, row.input_shapes, strict=False)]


def _shaped(dtype: str, shape: tuple[int, ...]) -> str:
    return f"{dtype} {'x'.join(map(str, shape)) or 'scalar'}" if dtype != "-" else "-"
