"""A report as plain text, for people: tables of at most a few columns, and an estimate never without its basis."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from keras_mtl.firmware_host.compute_estimate import overload
from keras_mtl.firmware_host.cost import OpRow
from keras_mtl.firmware_host.memory_table import COLUMNS, latency_line, memory_rows
from keras_mtl.firmware_host.names import short_name
from keras_mtl.firmware_host.report import Report


def report_text(report: Report, ops: bool = True) -> str:
    """The report as tables: checks, engines, what kernels lack, compute, the operators if asked for, and the verdict.

    Args:
        report: what to show.
        ops: whether to show the table of operators.
    """
    artifact, target = report.artifact, report.target
    facts = [f"{artifact['file_bytes']:,} bytes", *(str(artifact[key]) for key in ("part", "format") if artifact[key])]
    if artifact["macs_per_second"] is not None:
        facts.append(f"{artifact['macs_per_second']:,} MAC/s")
    lines = [
        f"artifact  {artifact['path'] or artifact['sha256']}  ({', '.join(facts)})",
        f"target    {target['name']}  ({target.get('description', '')})",
        "",
        *_table(
            ("check", ">value", ">limit", "unit", "", "why"),
            [
                (c.name, _number(c.value), _number(c.limit), c.unit, "ok" if c.ok else "FAILED", c.why)
                for c in report.checks
            ],
        ),
        "",
        *_table(
            ("engine", "version", ">arena bytes", ">LSB from base", ""),
            [
                (e.engine, e.version, _number(e.arena_bytes), _number(e.from_base_lsb), "ran" if e.ran else e.reason)
                for e in report.engines
            ],
        ),
    ]
    lines += _memory_lines(report) + _arena_lines(report)
    if report.compatibility:
        lines += ["", *_table(("lacking", "operator", "layer", "why", "try"), [*map(_lacking, report.compatibility)])]
    if report.compute is not None:
        lines += ["", *_compute_lines(report.compute)]
    if ops:
        rows = [
            (
                str(row.index),
                operator_name(row),
                ",".join(row.input_dtypes[:2]),
                "x".join(map(str, row.output_shape)) or "scalar",
                _number(row.macs),
                _number(row.weight_bytes),
                _number(row.activation_bytes),
            )
            for row in report.ops
        ]
        columns = (">#", "operator", "inputs", "output shape", ">MACs", ">weight bytes", ">activation bytes")
        lines += ["", *_table(columns, rows)]
    return "\n".join([*lines, "", f"verdict   {report.verdict}"]) + "\n"


def _memory_lines(report: Report) -> list[str]:
    """What a streaming set needs of RAM, how often its members run and how late it answers; nothing for another."""
    rows = memory_rows(report.artifact)
    if not rows:
        return []
    name, what, size, calls = COLUMNS
    table = _table((name, what, f">{size}", f">{calls}"), rows)
    return ["", *table, "", f"latency   {latency_line(report.artifact)}"]


def _arena_lines(report: Report) -> list[str]:
    """The arena's plan and, where engines differ, the operator that begins it; nothing where neither is known."""
    lines, arena = [], report.arena
    if arena is not None:
        measured = "not measured" if arena["measured_bytes"] is None else f"measured {arena['measured_bytes']:,}"
        told = f"planned {arena['planned_bytes']:,} bytes, {measured}; for 32-bit {arena['planned_32bit_bytes']:,}"
        words = (short_name(word) if "/" in word else word for word in arena["explained"].split(" "))
        lines += [f"arena     {told}", f"          {' '.join(words)}"]
    for parity in filter(None, (report.parity, (report.parity or {}).get("events"))):
        first = parity["first_difference"]
        if first is not None:
            lines.append(f"differs   {first['engine']} against {first['against']}: {_where(first)}")
    return ["", *lines] if lines else []


def _where(first: dict[str, Any]) -> str:
    """Where two engines begin to differ, or why that can't be told."""
    member = f"{first['member']} " if "member" in first else ""
    if "operator" not in first:
        return f"{member}{first['why']}"
    where = f"{member}operator {first['operator']}, {first['op']} ({short_name(first['layer'])})"
    return f"first at {where}, by {_number(first['lsb'])} LSB, its inputs by {_number(first['inputs_lsb'])}"


def baseline_text(baseline: dict[str, Any]) -> str:
    """The differences from a baseline as tables, one for each artifact, and the verdict.

    Args:
        baseline: as `keras_mtl.firmware_host.baseline.compare` gives it.
    """
    lines = [f"baseline  {baseline['path']}  (may grow by {baseline['tolerance_percent']:g} %, parity by "]
    lines[0] += f"{baseline['tolerance_lsb']:g} LSB)"
    for artifact in baseline["artifacts"]:
        rows = [
            (
                found["name"],
                _number(found["old"]),
                _number(found["new"]),
                _change(found["change"], found["change_percent"]),
                found["unit"],
                "REGRESSION" if found["regression"] else "ok",
            )
            for found in artifact["differences"]
        ]
        title = f"{artifact['part']} {artifact['format'] or ''}".rstrip() + f" for {artifact['target']}"
        lines += ["", title, *_table(("figure", ">old", ">new", ">change", "unit", ""), rows)]
        for engine in artifact["engines"]:
            word = "REGRESSION" if engine["regression"] else "differs"
            lines.append(f"engine {engine['engine']} {word}: was {engine['old']}, is {engine['new']}")
        if artifact["target_changed"]:
            lines.append(f"the target differs in {', '.join(artifact['target_changed'])}")
    return "\n".join([*lines, "", f"against the baseline   {baseline['verdict']}"]) + "\n"


def _change(change: float | None, percent: float | None) -> str:
    if not change:
        return "-" if change is None else "0"
    return f"{change:+,}" + (f" ({percent:+.2f} %)" if percent is not None else "")


def operator_name(row: OpRow) -> str:
    """Operator and version, as "CONV_2D v3"; in a loop with its repeats, as "FULLY_CONNECTED v5 x250"."""
    repeats = "" if row.repeats == 1 else f" x{'?' if row.repeats is None else row.repeats}"
    return f"{row.op} v{row.version}{repeats}"


def _lacking(finding: dict[str, Any]) -> tuple[str, ...]:
    operator = f"{finding['op']} v{finding['version']}"
    return f"{finding['severity']} ({finding['where']})", operator, finding["layer"], finding["why"], finding["try"]


def _compute_lines(compute: dict[str, Any]) -> list[str]:
    least, most = compute["load"]
    per_mac = compute["instructions_per_mac"]
    span = f", {per_mac[0]:g} to {per_mac[1]:g} a MAC" if per_mac else ""
    rows = [
        (f"{part['op']} {part['dtype']}", _number(part["macs_per_second"]), _millions(part["instructions_per_second"]))
        for part in compute["parts"]
    ]
    total = f"{_millions(compute['instructions_per_second'])} M instructions for a second of audio{span}"
    return [
        f"compute   an estimate, not measured: {total}",
        f"          at one instruction a cycle {least:.0%} to {most:.0%} of {compute['clock_hz'] / 1e6:g} MHz",
        *([f"          {overload(compute)}"] if overload(compute) else []),
        f"          basis: {compute['basis']}",
        "",
        *_table(("operators", ">MACs a second", ">M instructions a second"), rows),
    ]


def _millions(ends: Sequence[float]) -> str:
    """A range in millions, as "182.1 to 213.8"."""
    return " to ".join(f"{end / 1e6:,.1f}" for end in ends)


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:,}"


def _table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Lines of a table; a column whose name begins with ">" is set to the right."""
    titles = [column.lstrip(">") for column in columns]
    widths = [max(len(line[i]) for line in (titles, *rows)) for i in range(len(columns))]

    def line(cells: Sequence[str]) -> str:
        return "  ".join(
            cell.rjust(width) if column.startswith(">") else cell.ljust(width)
            for column, cell, width in zip(columns, cells, widths, strict=True)
        ).rstrip()

    return [line(titles), *map(line, rows)]
