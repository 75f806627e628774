"""Quantizes one multitask run in every way there is, and puts accuracy, bytes and arena side by side.

    python benchmarks/quantization.py RUN --data DIR --out runs/quantization

Each row is scored on the whole evaluation split, on TensorFlow Lite Micro, from the files that go onto a device, as a
device would run them. `ptq` is calibration alone, `qat` fine-tuning by the float network; `cells8` has recurrent states
of 8 bits. tfmot quantizes the scene part only. Rows that are done are skipped, so the same command goes on after an
interrupt. OUT gets a run folder and the artifacts of each row, and quantization.json and quantization.md.
"""

from __future__ import annotations

import argparse
import json
import shlex
import sys
from pathlib import Path
from typing import Any

from kept_results import kept_result, kept_score, score_cells

#: Part, format and arguments of `keras_mtl quantize` of each row; {E} stands for the passes of fine-tuning.
ROWS: dict[str, tuple[str, str, list[str]]] = {
    "ptq_int8": ("joint", "int8", ["--epochs", "0"]),
    "ptq_int8_cells8": ("joint", "int8", ["--epochs", "0", "--cells", "int8"]),
    "ptq_int16x8": ("joint", "int16x8", ["--epochs", "0"]),
    "qat_int8": ("joint", "int8", ["--epochs", "{E}"]),
    "qat_int16x8": ("joint", "int16x8", ["--epochs", "{E}"]),
    "tfmot_int8": ("scenes", "int8", ["--engine", "tfmot"]),
}
#: A board holds every row: the arena's figure is what is of interest.
_TARGET = "stm32h743"
_FIGURES = ("accuracy", "event_f1_macro", "psds1")


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, metavar="RUN", help="a float run of both tasks")
    parser.add_argument("--data", required=True, help="folder with TAU and DESED, or soundscapes[:SEED]")
    parser.add_argument("--out", required=True, type=Path, help="folder of the rows")
    parser.add_argument("--epochs", type=int, default=1, help="passes over the strong event clips (default 1)")
    parser.add_argument("--engine", default="tflm", help="the interpreter that is scored on (default tflm)")
    parser.add_argument("--rows", default=",".join(ROWS), help="some of them, comma-separated (default all)")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    score = kept_score(options.out / "float.json", ["evaluate", str(options.run), "--data", options.data])
    rows = [{"name": "float", "format": "float32", "score": score, "command": "train"}]
    rows += [_row(name, options) for name in options.rows.split(",")]
    document = {"schema": "keras_mtl.quantization_benchmark/1", "data": score["data"], "engine": options.engine}
    (options.out / "quantization.json").write_text(json.dumps({**document, "rows": rows}, indent=2) + "\n")
    (options.out / "quantization.md").write_text(_table(rows))
    print(_table(rows), end="")
    return 0


def _row(name: str, options: argparse.Namespace) -> dict[str, Any]:
    part, kind, more = ROWS[name]
    more = [text.format(E=options.epochs) for text in more]
    folder = options.out / name
    folder.mkdir(exist_ok=True)
    run, artifact = folder / "run", folder / ("set" if part == "joint" else f"{part}.{kind}.tflite")
    quantize = ["quantize", str(options.run), "--part", part, "--scheme", kind, *more, "--data", options.data]
    made = kept_result(folder / "quantize.json", [*quantize, "--out", str(run)])
    kept_result(
        folder / "convert.json", ["convert", str(run), "--part", part, "--format", kind, "--out", str(artifact)]
    )
    emulate = ["emulate", str(artifact), "--target", _TARGET, "--engine", "tflm", "--engine", "litert"]
    report = kept_result(folder / "report.json", emulate, (0, 1))
    evaluate = ["evaluate", str(artifact), "--data", options.data, "--engine", options.engine]
    score = kept_score(folder / "score.json", evaluate)
    return {
        "name": name,
        "format": kind,
        "kept": made["kept"],
        "file_bytes": report["artifact"]["file_bytes"],
        "arena_and_buffer_bytes": next(c["value"] for c in report["checks"] if c["name"] == "arena_bytes"),
        "verdict": report["verdict"],
        "score": score,
        "command": shlex.join(["keras_mtl", *quantize[:1], "RUN", *quantize[2:-1], "DIR"]),
    }


def _table(rows: list[dict[str, Any]]) -> str:
    """Figures of each row, and in brackets what it is off the float network's, in points and in PSDS."""
    lines = [
        "| row | scene accuracy | event F1 | PSDS1 | file bytes | arena and buffers | command |",
        "|---|---|---|---|---|---|---|",
    ]
    goal = rows[0]["score"]
    for row in rows:
        cells = score_cells(row["score"], None if row is rows[0] else goal, _FIGURES)
        sizes = [f"{row[key]:,}" if key in row else "" for key in ("file_bytes", "arena_and_buffer_bytes")]
        lines.append("| " + " | ".join([row["name"], *cells, *sizes, f"`{row['command']}`"]) + " |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.exit(main())
