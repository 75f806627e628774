"""A report as plain text, for people: tables of at most a few columns, and an estimate never without its basis."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from keras_mtl.core import Column, Table
from keras_mtl.firmware_host.compute import OpRow, overload
from keras_mtl.firmware_host.report import Report, key_text

_CHECKS = (
    Column("check", "name"),
    Column("value", "value", ","),
    Column("limit", "limit", ","),
    Column("unit", "unit"),
    Column("", lambda check: "ok" if check.ok else "FAILED"),
    Column("why", "why"),
)
_ENGINES = (
    Column("engine", "engine"),
    Column("version", "version"),
    Column("arena bytes", "arena_bytes", ","),
    Column("LSB from base", "from_base_lsb", ","),
    Column("", lambda engine: "ran" if engine.ran else engine.reason),
)
_LACKING = (
    Column("lacking", lambda found: f"{found['severity']} ({found['where']})"),
    Column("operator", lambda found: f"{found['op']} v{found['version']}"),
    Column("layer", "layer"),
    Column("why", "why"),
    Column("try", "try"),
)
_PARTS = (
    Column("operators", lambda part: f"{part['op']} {part['dtype']}"),
    Column("MACs a second", "macs_per_second", ","),
    Column("M instructions a second", lambda part: _millions(part["instructions_per_second"]), ">"),
)
_OPERATORS = (
    Column("#", "index", "d"),
    Column("operator", lambda row: operator_name(row)),
    Column("inputs", lambda row: ",".join(row.input_dtypes[:2])),
    Column("output shape", lambda row: "x".join(map(str, row.output_shape)) or "scalar"),
    Column("MACs", "macs", ","),
    Column("weight bytes", "weight_bytes", ","),
    Column("activation bytes", "activation_bytes", ","),
)
_DIFFERENCES = (
    Column("figure", "name"),
    Column("old", "old", ","),
    Column("new", "new", ","),
    Column("change", lambda found: _change(found["change"], found["change_percent"]), ">"),
    Column("unit", "unit"),
    Column("", lambda found: "REGRESSION" if found["regression"] else "ok"),
)
_COLUMNS = (Column("memory", 0), Column("", 1), Column("bytes", 2, ","), Column("calls a second", 3, "g"))
_ON_A_DEVICE = (
    ("one arena, its reserve too", "shared_arena_bytes"),
    ("front end", "front_end_bytes"),
    ("listener: front end, buffers", "listener_bytes"),
    ("arena and listener", "total_bytes"),
)


def report_text(report: Report, ops: bool = True) -> str:
    """The report as tables: checks, engines, what kernels lack, compute, the operators if asked for, the verdict."""
    artifact, target = report.artifact, report.target
    facts = [f"{artifact['file_bytes']:,} bytes", *(str(artifact[key]) for key in ("part", "format") if artifact[key])]
    if artifact["macs_per_second"] is not None:
        facts.append(f"{artifact['macs_per_second']:,} MAC/s")
    lines = [
        f"artifact  {artifact['path'] or artifact['sha256']}  ({', '.join(facts)})",
        f"target    {target['name']}  ({target.get('description', '')})",
        "",
        *Table(_CHECKS, report.checks).text(),
        "",
        *Table(_ENGINES, report.engines).text(),
    ]
    lines += _memory_lines(report) + _arena_lines(report)
    if report.compatibility:
        lines += ["", *Table(_LACKING, report.compatibility).text()]
    if report.compute is not None:
        lines += ["", *compute_lines(report.compute)]
    if ops:
        lines += ["", *Table(_OPERATORS, report.ops).text()]
    return "\n".join([*lines, "", f"verdict   {report.verdict}"]) + "\n"


def _memory_lines(report: Report) -> list[str]:
    """What a streaming artifact needs of RAM, how often its members run and its latency; nothing for another."""
    if "memory" not in report.artifact:
        return []
    return ["", *memory_table(report.artifact).text(), "", f"latency   {latency_line(report.artifact)}"]


def _arena_lines(report: Report) -> list[str]:
    """The arena's plan and, where engines differ, the operator that begins it; nothing where neither is known."""
    lines, arena = [], report.arena
    if arena is not None:
        measured = "not measured" if arena["measured_bytes"] is None else f"measured {arena['measured_bytes']:,}"
        sizes = f"planned {arena['planned_bytes']:,} bytes, {measured}; for 32-bit {arena['planned_32bit_bytes']:,}"
        words = (short_name(word) if "/" in word else word for word in arena["explained"].split(" "))
        lines += [f"arena     {sizes}", f"          {' '.join(words)}"]
    for parity in filter(None, (report.parity, (report.parity or {}).get("events"))):
        first = parity["first_difference"]
        if first is not None:
            lines.append(f"differs   {first['engine']} against {first['against']}: {_where(first)}")
    return ["", *lines] if lines else []


def _where(first: dict[str, Any]) -> str:
    """Where two engines begin to differ, or why that is not known."""
    member = f"{first['member']} " if "member" in first else ""
    if "operator" not in first:
        return f"{member}{first['why']}"
    where = f"{member}operator {first['operator']}, {first['op']} ({short_name(first['layer'])})"
    return f"first at {where}, by {_number(first['lsb'])} LSB, its inputs by {_number(first['inputs_lsb'])}"


def baseline_text(baseline: dict[str, Any]) -> str:
    """The differences from a baseline as tables, one for each artifact, and the verdict."""
    lines = [f"baseline  {baseline['path']}  (may grow by {baseline['tolerance_percent']:g} %, parity by "]
    lines[0] += f"{baseline['tolerance_lsb']:g} LSB)"
    for artifact in baseline["artifacts"]:
        title = key_text((artifact["part"], artifact["schedule"], artifact["format"], artifact["target"]))
        lines += ["", title, *Table(_DIFFERENCES, artifact["differences"]).text()]
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


def compute_lines(compute: dict[str, Any]) -> list[str]:
    """A report's estimate of instructions, with its basis and its parts by operator."""
    least, most = compute["load"]
    per_mac = compute["instructions_per_mac"]
    span = f", {per_mac[0]:g} to {per_mac[1]:g} a MAC" if per_mac else ""
    total = f"{_millions(compute['instructions_per_second'])} M instructions for a second of audio{span}"
    return [
        f"compute   an estimate, not measured: {total}",
        f"          at one instruction a cycle {least:.0%} to {most:.0%} of {compute['clock_hz'] / 1e6:g} MHz",
        *([f"          {overload(compute)}"] if overload(compute) else []),
        f"          basis: {compute['basis']}",
        "",
        *Table(_PARTS, compute["parts"]).text(),
    ]


def _millions(ends: Sequence[float]) -> str:
    """A range in millions, as "182.1 to 213.8"."""
    return " to ".join(f"{end / 1e6:,.1f}" for end in ends)


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:,}"


def short_name(name: str) -> str:
    """The first of the operators that a tensor's name lists, without the path that leads to it.

    The converter names a tensor after all operators that it fused, each with its whole path:
    "net/conv_1/Relu;net/conv_1/BiasAdd" is "conv_1/Relu".
    """
    first = name.split(";")[0].removesuffix(":0")
    return "/".join(first.split("/")[-2:])


def layer_of(name: str) -> str:
    """The same without the operator's name: the layer alone."""
    return short_name(name).split("/")[0]


def memory_table(artifact: Mapping[str, Any]) -> Table:
    """What a streaming artifact needs of RAM, and how often its members run."""
    ram, calls = artifact["memory"], artifact["calls_per_second"]
    rows: list[tuple[str, str, int, float | str]] = [
        *((name, "arena", size, calls[name]) for name, size in ram["arena_bytes"].items()),
        *((name, "buffer", size, "") for name, size in ram["buffer_bytes"].items()),
        ("each arena by itself", "all", ram["separate_bytes"], ""),
        ("arenas over each other", "all", ram["shared_bytes"], ""),
        *((name, "device", ram[key], "") for name, key in _ON_A_DEVICE),
    ]
    return Table(_COLUMNS, rows)


def latency_line(artifact: Mapping[str, Any]) -> str:
    """The latency of each task, for people."""
    waits = ", ".join(f"{task} {seconds:g} s" for task, seconds in artifact["latency_s"].items())
    return f"at most, computing not counted: {waits}"
