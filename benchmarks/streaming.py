"""What streaming costs and saves: streaming sets of float runs, scored from their files, with their memory and boards.

    python benchmarks/streaming.py runs/real runs/real_causal --data DIR --out runs/streaming

Each run is quantized to both formats and converted to streaming sets, of both tasks and, of the first run, of the
scenes alone. Sets are scored on the whole evaluation split, on TensorFlow Lite Micro, from the files that go onto a
device; the float network takes each clip at once. Float runs after the first are held against it. What is done is
skipped, so the same command goes on after an interrupt. OUT gets a run folder and a set of each row, and streaming.json
and streaming.md.
"""

from __future__ import annotations

import argparse
import json
import shlex
import sys
from pathlib import Path
from typing import Any

from kept_results import kept_result, kept_score, score_cells

_FIGURES = ("accuracy", "event_f1_macro", "psds1", "psds2", "weak_f1_macro")
_SCHEMES = ("int8", "int16x8")
#: Networks that would do the two tasks side by side.
_APART = ("cnn", "crnn")
_SCORES = "| row | scene accuracy | event F1 | PSDS1 | PSDS2 | clip-level F1 | command |\n|---|---|---|---|---|---|---|"
_COSTS = (
    "| set | files | arena, one for all | kept between calls | listener with its front end | RAM in all | latency | "
    "M MACs/s | boards |\n|---|---|---|---|---|---|---|---|---|"
)
_DIFFERENCES = "| runs | figure | difference, 95 % interval over recordings |\n|---|---|---|"


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", type=Path, metavar="RUN", help="float runs of both tasks")
    parser.add_argument("--data", required=True, help="folder with TAU and DESED, or soundscapes[:SEED]")
    parser.add_argument("--out", required=True, type=Path, help="folder of the rows")
    parser.add_argument("--epochs", type=int, default=1, help="passes of fine-tuning (default 1)")
    parser.add_argument("--engine", default="tflm", help="the interpreter that is scored on (default tflm)")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    rows = []
    for run in options.runs:
        rows.append(_float_row(run, options))
        rows += [_set_row(run, "joint", scheme, options) for scheme in _SCHEMES]
    rows += [_set_row(options.runs[0], "scenes", scheme, options) for scheme in _SCHEMES]
    systems = kept_result(options.out / "systems.json", ["systems"])["systems"]
    apart = sum(system["macs_per_second"] for system in systems if system["id"] in _APART)
    document: dict[str, Any] = {"schema": "keras_mtl.streaming_benchmark/1", "data": rows[0]["score"]["data"]}
    document |= {"engine": options.engine, "macs_per_second_side_by_side": apart, "rows": rows}
    document["differences"] = _differences(options)
    text = _tables(rows, apart, document["differences"])
    (options.out / "streaming.json").write_text(json.dumps(document, indent=2) + "\n")
    (options.out / "streaming.md").write_text(text)
    print(text, end="")
    return 0


def _float_row(run: Path, options: argparse.Namespace) -> dict[str, Any]:
    score = kept_score(options.out / f"{run.name}.json", ["evaluate", str(run), "--data", options.data])
    return {"name": run.name, "network": run.name, "part": "joint", "format": "float32", "score": score, "command": ""}


def _set_row(run: Path, part: str, scheme: str, options: argparse.Namespace) -> dict[str, Any]:
    name = f"{run.name}_{part}_{scheme}"
    folder = options.out / name
    folder.mkdir(exist_ok=True)
    quantized, made = str(folder / "run"), str(folder / "set")
    quantize = ["quantize", str(run), "--part", part, "--scheme", scheme, "--epochs", str(options.epochs)]
    kept_result(folder / "quantize.json", [*quantize, "--data", options.data, "--out", quantized])
    convert = ["convert", quantized, "--part", part, "--schedule", "stream", "--format", scheme, "--out", made]
    kept_result(folder / "convert.json", convert)
    reports = [_report(folder, made, target) for target in _boards(options)]
    evaluate = ["evaluate", made, "--data", options.data, "--engine", options.engine]
    words = [*quantize[:1], run.name, *quantize[2:], "--data", "DIR"]
    return {
        "name": name,
        "network": run.name,
        "part": part,
        "format": scheme,
        "score": kept_score(folder / "score.json", evaluate),
        **{key: reports[0]["artifact"][key] for key in ("file_bytes", "memory", "latency_s", "macs_per_second")},
        "boards": [report["target"]["name"] for report in reports if report["verdict"] == "passed"],
        "refused": {
            report["target"]["name"]: [check["name"] for check in report["checks"] if not check["ok"]]
            for report in reports
            if report["verdict"] != "passed"
        },
        "command": shlex.join(["keras_mtl", *words]),
    }


def _boards(options: argparse.Namespace) -> list[str]:
    targets = kept_result(options.out / "targets.json", ["targets"])["targets"]
    return [target["name"] for target in targets if target["kind"] == "board"]


def _report(folder: Path, made: str, target: str) -> dict[str, Any]:
    return kept_result(folder / f"{target}.json", ["emulate", made, "--target", target, "--engine", "tflm"], (0, 1))


def _differences(options: argparse.Namespace) -> list[dict[str, Any]]:
    """Figures of the float runs after the first, less those of the first, with their intervals."""
    first, *others = options.runs
    if not others:
        return []
    compare = ["compare", *map(str, others), "--against", str(first), "--data", options.data]
    return kept_result(options.out / "compare.json", compare)["differences"]


def _tables(rows: list[dict[str, Any]], apart: float, differences: list[dict[str, Any]]) -> str:
    """Scores, with what each is off the float network of its run in brackets; what the sets take; differences."""
    goals = {row["network"]: row["score"] for row in rows if row["format"] == "float32"}
    scores, costs = [_SCORES], [_COSTS]
    for row in rows:
        goal = None if row["format"] == "float32" else goals[row["network"]]
        cells = score_cells(row["score"], goal, _FIGURES)
        command = f"`{row['command']}`" if row["command"] else ""
        scores.append("| " + " | ".join([row["name"], *cells, command]) + " |")
        if goal is not None:
            costs.append(_cost(row, apart))
    against = [_DIFFERENCES] if differences else []
    for one in differences:
        value = f"{one['value']:+.3f} [{one['low']:+.3f}, {one['high']:+.3f}]"
        against.append(f"| {one['run']} less {one['against']} | {one['figure']} | {value} |")
    return "\n".join([*scores, "", *costs, "", *against]) + "\n"


def _cost(row: dict[str, Any], apart: float) -> str:
    memory, macs = row["memory"], row["macs_per_second"]
    kept = sum(memory["buffer_bytes"].values())
    sizes = [row["file_bytes"], memory["shared_bytes"] - kept, kept, memory["listener_bytes"], memory["total_bytes"]]
    latency = ", ".join(f"{task} {seconds:g} s" for task, seconds in row["latency_s"].items())
    less = f" ({100 * (1 - macs / apart):.1f} % less)" if row["part"] == "joint" else ""
    cells = [row["name"], *(f"{size:,}" for size in sizes), latency, f"{macs / 1e6:.2f}{less}"]
    return "| " + " | ".join([*cells, ", ".join(row["boards"]) or "none"]) + " |"


if __name__ == "__main__":
    sys.exit(main())
