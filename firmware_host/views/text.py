"""A report as plain text, for people: tables of at most a few columns, and an estimate never without its basis."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from keras_mtl.core import Column, Table
from keras_mtl.firmware_host.compute import OpRow
from keras_mtl.firmware_host.report import Check, Report, key_text

_CHECKS = (
    Column("check", "name"),
    Column("value", "value", ","),
    Column("limit", "limit", ","),
    Column("unit", "unit"),
    Column("", lambda check: check_word(check)),
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
_OPERATORS = (
    Column("#", "index", "d"),
    Column("operator", lambda row: operator_name(row)),
    Column("inputs", lambda row: ",".join(row.input_dtypes[:2])),
    Column("output shape", lambda row: "x".join(map(str, row.output_shape)) or "scalar"),
    Column("MACs", "macs", ","),
    Column("weight bytes", "weight_bytes", ","),
    Column("activation bytes", "activation_bytes", ","),
)
_REMEDIES = (
    Column("to make it fit", "change"),
    Column("of the core", lambda found: percent(found["load"])),
    Column("fits", "fits"),
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
    ("one arena, scratch memory too", "shared_arena_bytes"),
    ("interpreters", "interpreter_bytes"),
    ("front end", "front_end_bytes"),
    ("listener: front end, buffers", "listener_bytes"),
    ("all of it", "total_bytes"),
    ("audio while it computes", "kept_audio_bytes"),
)


def report_text(report: Report, ops: bool = True) -> str:
    """The report as tables: checks, engines, what kernels lack, compute, the operators if asked for, the verdict."""
    artifact, target = report.artifact, report.target
    facts = [f"{artifact['file_bytes']:,} bytes", *(str(artifact[key]) for key in ("part", "format") if artifact[key])]
    if artifact["macs_per_second"] is not None:
        facts.append(f"{artifact['macs_per_second']:,} MAC/s")
    elif artifact["macs"] is not None:
        facts.append(f"{artifact['macs']:,} MACs an inference")
    lines = [
        f"artifact  {artifact['path'] or artifact['sha256']}  ({', '.join(facts)})",
        f"target    {target['name']}  ({target.get('description', '')})",
        "",
        *Table(_CHECKS, report.checks).text(),
        "",
        *Table(_ENGINES, report.engines).text(),
    ]
    if report.notes:
        lines += ["", *(f"note      {note}" for note in report.notes)]
    lines += _memory_lines(report) + _arena_lines(report)
    if report.compatibility:
        lines += ["", *Table(_LACKING, report.compatibility).text()]
    if report.compute is not None:
        lines += ["", *compute_lines(report.compute)]
    if report.remedies:
        lines += ["", *Table(_REMEDIES, report.remedies).text()]
    if ops:
        lines += ["", *Table(_OPERATORS, report.ops).text()]
    return "\n".join([*lines, "", f"verdict   {report.verdict_line}"]) + "\n"


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
        kernels = f" with {arena['device']['kernels']}" if "device" in arena else ""
        sizes = f"planned {arena['planned_bytes']:,} bytes, {measured}; "
        sizes += f"for 32-bit{kernels} {arena['planned_32bit_bytes']:,}"
        words = (short_name(word) if "/" in word else word for word in arena["explained"].split(" "))
        lines += [f"arena     {sizes}", f"          {' '.join(words)}"]
    for parity in compared(report.parity).values():
        first = parity["first_difference"]
        if first is not None:
            lines.append(f"differs   {first['engine']} against {first['against']}: {_where(first)}")
    return ["", *lines] if lines else []


def compared(parity: dict[str, Any] | None) -> dict[str, dict[str, Any]]:
    """What was compared, of a report's parity: the first by an empty name, the others by theirs."""
    if parity is None:
        return {}
    return {"": parity} | {kind: parity[kind] for kind in ("events", "in_a_row") if kind in parity}


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
        key = (artifact["part"], artifact["schedule"], artifact["format"], artifact["target"])
        title = key_text(key, artifact["name"])
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
    """A report's estimate of instructions, cycles and energy, with its basis and its parts by operator."""
    per, per_mac = compute.get("per", "second"), compute["instructions_per_mac"]
    span = f", {per_mac[0]:g} to {per_mac[1]:g} a MAC" if per_mac else ""
    what, short = ("a second of audio", "a second") if per == "second" else ("an inference", "an inference")
    instructions = compute[f"instructions_per_{per}"]
    total = (
        f"{millions(instructions)} M instructions for {what}{span}" if instructions else f"for {what}, in cycles alone"
    )
    columns = (
        Column("operators", lambda part: f"{part['op']} {part['dtype']}".strip()),
        Column(f"MACs {short}", f"macs_per_{per}", ","),
        Column(f"M instructions {short}", lambda part: _cell(part[f"instructions_per_{per}"]), ">"),
        Column("M cycles", lambda part: _cell(part.get(f"cycles_per_{per}")), ">"),
    )
    around = [{"op": each["name"], "dtype": "", f"macs_per_{per}": None, **each} for each in compute.get("around", ())]
    return [
        f"compute   an estimate, not measured: {total}",
        f"          {clock_share(compute)}",
        f"          {compute['basis']}",
        *([f"          cycles: {compute['cycles_basis']}"] if compute.get("cycles_basis") else []),
        *(f"          {each['name']}: {each['basis']}" for each in around),
        *energy_lines(compute.get("energy")),
        "",
        *Table(columns, [*compute["parts"], *around]).text(),
    ]


def clock_share(compute: dict[str, Any]) -> str:
    """How much of the core an estimate takes or, of an inference, how long it takes; in words."""
    per, clock_hz = compute.get("per", "second"), compute["clock_hz"]
    cycles, per_mac = compute.get(f"cycles_per_{per}"), compute.get("cycles_per_mac")
    if cycles is None:
        return f"its cycles were not measured for {compute.get('library', compute['kernels'])} on {compute['core']}"
    words = f"{millions(cycles)} M cycles" + (f", {per_mac[0]:g} to {per_mac[1]:g} a MAC" if per_mac else "")
    if per != "second":
        first, last = (1000 * end / clock_hz for end in cycles)
        return f"{words}: {first:.3g} to {last:.3g} ms at {clock_hz / 1e6:g} MHz"
    if compute["load"] is None:
        return f"{words}; those of the front end are not known"
    beside = "with front end and decoders " if compute.get("around") else ""
    return f"{words}; {beside}{percent(compute['load'])} of {clock_hz / 1e6:g} MHz"


def energy_lines(energy: Mapping[str, Any] | None) -> list[str]:
    """The energy of a second of audio, and the days on a battery, with what they are derived from."""
    if energy is None:
        return []
    if energy["mj_per_second"] is None:
        return [f"energy    not known: {energy['source']}; a target's energy_nj_per_cycle states it"]
    (least, most), (first, last) = energy["mj_per_second"], energy["nj_per_cycle"]
    lines = [f"energy    {least:g} to {most:g} mJ for a second of audio, derived: cycles by {first:g} to {last:g} nJ"]
    lines[0] += f" a cycle, {energy['source']}"
    battery = energy.get("battery")
    if battery and battery["days"]:
        what = f"{battery['mah']:g} mAh at {battery['volts']:g} V, listening {battery['duty']:.3g} of the time"
        lines.append(
            f"          {battery['days'][0]:g} to {battery['days'][1]:g} days on {what}; sleep, microphone and"
        )
        lines[-1] += " radio come on top"
    return lines


def check_word(check: Check) -> str:
    """How a check came out."""
    return "FAILED" if not check.ok else "ok" if check.certain else "not certain"


def percent(ends: Sequence[float]) -> str:
    """A range of parts, as "12% to 19%"."""
    return f"{ends[0]:.0%} to {ends[1]:.0%}"


def millions(ends: Sequence[float]) -> str:
    """A range in millions, with the digits that small values need."""
    return " to ".join(f"{end / 1e6:,.1f}" if end >= 1e6 else f"{end / 1e6:.3g}" for end in ends)


def _cell(ends: Sequence[float] | None) -> str:
    """A range in millions, as "182.1 to 213.8"; a dash for none."""
    return "-" if ends is None else " to ".join(f"{end / 1e6:,.1f}" for end in ends)


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
        *((name, "device", ram[key], "") for name, key in _ON_A_DEVICE if key in ram),
    ]
    return Table(_COLUMNS, rows)


def latency_line(artifact: Mapping[str, Any]) -> str:
    """The latency of each task, for people."""
    waits = ", ".join(f"{task} {seconds:g} s" for task, seconds in artifact["latency_s"].items())
    return f"at most, computing not counted: {waits}"
