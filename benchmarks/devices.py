"""Holds the planned arena against what real boards measured, by board and kernel family.

    python benchmarks/devices.py --models DIR [--json]

DIR has `measured.tsv` and the `.tflite` files that it names. Columns, separated by tabs, with a heading: `board`,
`runtime`, `model` (a file of DIR) and `arena_bytes` (`MicroInterpreter::arena_used_bytes`); others are left alone, and
so are rows without a figure of the arena. Within 1 % or 200 bytes a row is right; the exit status is 1 if one is not.
"""

from __future__ import annotations

import argparse
import csv
import json
import re
import sys
from pathlib import Path
from typing import Any

from keras_mtl.firmware_host.arena import arena_of
from keras_mtl.firmware_host.targets import Target
from keras_mtl.tflite import flatbuffer

#: Cores of boards that don't name theirs as "Cortex-M4", by a word of the board's name.
_CORES = {"nRF52840": "cortex-m4", "ESP32-S3": "xtensa-lx7", "ESP32": "xtensa-lx6"}
#: Kernel families by a word of the runtime; the first that is there counts.
_KERNELS = {"esp-nn": "esp-nn", "cmsis-nn": "cmsis-nn", "reference": "reference"}
#: Arduino's library names no version of CMSIS-NN. What it asked for in 3x3 depthwise layers, 18 bytes a channel, was
#: that of 4.0; since 4.1 they ask for nothing.
_ARDUINO = ("arduino", "cmsis-nn", "4.0")
_PART, _BYTES = 0.01, 200


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", type=Path, required=True, metavar="DIR", help="measured.tsv and its .tflite files")
    parser.add_argument("--json", action="store_true", help="one JSON document on stdout")
    options = parser.parse_args()
    try:
        rows, left = held_against(options.models)
    except (OSError, KeyError, ValueError) as error:
        sys.exit(f"devices: {options.models / 'measured.tsv'}: {type(error).__name__}: {error}")
    missed = [row for row in rows if not row["right"]]
    if options.json:
        print(json.dumps({"schema": "keras_mtl.devices_benchmark/1", "rows": rows, "left_out": left}, indent=2))
    else:
        _show(rows, left, missed)
    return 1 if missed or not rows else 0


def held_against(folder: Path) -> tuple[list[dict[str, Any]], list[str]]:
    """The rows with a figure, planned beside measured, and what was left out, a line each.

    Raises:
        OSError, KeyError, ValueError: no such table, another heading, or a figure that is no number.
    """
    rows, left = [], []
    with (folder / "measured.tsv").open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file, delimiter="\t"):
            board, runtime, model, figure = (row[key] for key in ("board", "runtime", "model", "arena_bytes"))
            target = _target(board, runtime)
            if figure and target is not None:
                rows.append(_row(board, target, folder / model, int(figure)))
            else:
                why = "no figure of the arena" if not figure else "no plan for these kernels"
                left.append(f"{board}, {runtime}, {model}: {why}")
    return rows, left


def _target(board: str, runtime: str) -> Target | None:
    named = re.search(r"Cortex-M\d+", board)
    core = named[0].lower() if named else next((core for word, core in _CORES.items() if word in board), None)
    kernels: Any = next((family for word, family in _KERNELS.items() if word in runtime), None)
    if core is None or kernels is None:
        return None
    word, family, number = _ARDUINO
    version = number if kernels == family and word in runtime.lower() else None
    return Target(board, "board", core=core, kernels=kernels, kernels_version=version)


def _row(board: str, target: Target, path: Path, measured: int) -> dict[str, Any]:
    arena = arena_of(flatbuffer.read_model(path.read_bytes()), None, target)
    planned, device = arena["planned_32bit_bytes"], arena["device"]
    version = f" {target.kernels_version}" if target.kernels_version else ""
    return {
        "board": board,
        "kernels": f"{target.kernels}{version}",
        "model": path.name,
        "scratch_bytes": max((each["bytes"] for each in device["scratch"]), default=0),
        "planned_bytes": planned,
        "measured_bytes": measured,
        "ratio": round(planned / measured, 4),
        "difference_bytes": planned - measured,
        "given_bytes": device["arena_bytes"],
        "enough": device["arena_bytes"] >= measured,
        "right": abs(planned - measured) <= max(_BYTES, _PART * measured),
    }


def _show(rows: list[dict[str, Any]], left: list[str], missed: list[dict[str, Any]]) -> None:
    heads = ("board", "kernels", "model", "scratch", "planned", "measured", "ratio", "off", "given")
    print("{:<30} {:<12} {:<20} {:>7} {:>8} {:>8} {:>6} {:>5} {:>8}".format(*heads))
    for row in rows:
        words = f"{row['board']:<30} {row['kernels']:<12} {row['model']:<20} {row['scratch_bytes']:>7,} "
        words += f"{row['planned_bytes']:>8,} {row['measured_bytes']:>8,} {row['ratio']:>6.3f} "
        words += f"{row['difference_bytes']:>+5} {row['given_bytes']:>8,}"
        print(words + ("" if row["right"] else "  MISSED") + ("" if row["enough"] else "  TOO LITTLE"))
    print(f"\n{len(rows) - len(missed)} of {len(rows)} within 1 % or {_BYTES} bytes")
    reasons = ", ".join(sorted({line.rsplit(": ", 1)[1] for line in left}))
    print(f"{len(left)} rows left out" + (f": {reasons}" if left else ""))


if __name__ == "__main__":
    sys.exit(main())
