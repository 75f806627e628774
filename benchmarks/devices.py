"""Holds what the emulator says of a board against what real boards measured: milliseconds, and bytes of the arena.

    python benchmarks/devices.py [--models DIR] [--json]

Without DIR the rows are those of `benchmarks/devices`: figures that others measured, and the layers of their networks.
DIR has a `measured.tsv` of the same columns, separated by tabs, with a heading: `board`, `mhz`, `runtime`, `model` (a
`.tflite` file of DIR, or a network of `benchmarks/devices/networks.tsv`), `ms_per_inference` and `arena_bytes`
(`MicroInterpreter::arena_used_bytes`); others are left alone.

A time is right inside the range of its board and build. An arena, which only a file has, is right within 1 % or 200
bytes. The exit status is 1 where an arena is not, where fewer than 80 % of the times are, or where a range is wider
than 3 : 1.
"""

from __future__ import annotations

import argparse
import csv
import json
import math
import re
import sys
from pathlib import Path
from typing import Any

from keras_mtl.firmware_host.arena import arena_of
from keras_mtl.firmware_host.compute import OpRow, estimate, op_rows
from keras_mtl.firmware_host.targets import Target, load_target
from keras_mtl.tflite import flatbuffer

_HERE = Path(__file__).parent / "devices"
#: Cores of boards that don't name theirs as "Cortex-M4", by a word of the board's name; the first that is there counts.
#: None: a core without figures.
_CORES = {
    "nRF52840": "cortex-m4", "nRF5340": "cortex-m33", "RP2040": "cortex-m0plus", "RP2350": "cortex-m33",
    "ESP32-S3": "xtensa-lx7", "ESP32-": None, "ESP32": "xtensa-lx6",
}  # fmt: skip
#: Shipped targets by a word of the board's name: how fast weights come there.
_SHIPPED = {"RP2040": "rp2040", "RP2350": "rp2350", "ESP32-S3": "esp32-s3"}
#: Kernel libraries by a word of the runtime; the first that is there counts.
_KERNELS = {"esp-nn": "esp-nn", "cmsis-nn": "cmsis-nn", "reference": "reference", "x-cube-ai": "x-cube-ai"}
_PLANNED = ("esp-nn", "cmsis-nn", "reference")
#: Arduino's library names no version of CMSIS-NN. What it asked for in 3x3 depthwise layers, 18 bytes a channel, was
#: that of 4.0; since 4.1 they ask for nothing.
_ARDUINO_VERSION = "4.0"
#: What MLPerf Tiny calls its networks.
_TASKS = {
    "anomaly detection": "ad",
    "image classification": "ic_resnet",
    "keyword spotting": "kws",
    "visual wake words": "vww",
}
_PART, _BYTES, _INSIDE, _WIDEST = 0.01, 200, 0.8, 3.0


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", type=Path, metavar="DIR", help="another measured.tsv, and its .tflite files")
    parser.add_argument("--json", action="store_true", help="one JSON document on stdout")
    options = parser.parse_args()
    folder = options.models or _HERE
    try:
        times, rows, left = held_against(folder)
    except (OSError, KeyError, ValueError) as error:
        sys.exit(f"devices: {folder / 'measured.tsv'}: {type(error).__name__}: {error}")
    if options.json:
        document = {"schema": "keras_mtl.devices_benchmark/1", "times": times, "rows": rows, "left_out": left}
        print(json.dumps(document, indent=2))
    else:
        _show(times, rows, left)
    inside = sum(row["inside"] for row in times) >= _INSIDE * len(times)
    narrow = all(row["most_to_least"] <= _WIDEST for row in times)
    return 0 if (times or rows) and inside and narrow and all(row["right"] for row in rows) else 1


def held_against(folder: Path = _HERE) -> tuple[list[dict[str, Any]], list[dict[str, Any]], list[str]]:
    """The rows with a time and those with an arena, estimated beside measured, and what was left out, a line each.

    Raises:
        OSError, KeyError, ValueError: no such table, another heading, or a figure that is no number.
    """
    times, arenas, left = [], [], []
    networks = _networks(_HERE / "networks.tsv")
    with (folder / "measured.tsv").open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file, delimiter="\t"):
            board, runtime, model, arena = (row[key] for key in ("board", "runtime", "model", "arena_bytes"))
            what, target, path = f"{board}, {runtime}, {model}", _target(board, runtime, row.get("mhz")), folder / model
            layers = op_rows(flatbuffer.read_model(path.read_bytes())) if path.is_file() else networks.get(_name(model))
            if target is None or layers is None:
                left.append(f"{what}: no {'figures for this board or runtime' if target is None else 'such network'}")
                continue
            planned = bool(arena) and path.is_file() and target.kernels in _PLANNED
            time = _time(board, target, _name(model), layers, row.get("ms_per_inference"))
            times += [time] if time else []
            arenas += [_arena(board, target, path, int(arena))] if planned else []
            if not time and not planned:
                left.append(f"{what}: no figure that can be held against anything")
    return times, arenas, left


def _networks(path: Path) -> dict[str, tuple[OpRow, ...]]:
    """The networks of the table: each of their layers with its work."""
    found: dict[str, list[OpRow]] = {}
    with path.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file, delimiter="\t"):
            depth, inputs, outputs, constants, times = (
                int(row[key]) for key in ("depth", "inputs", "outputs", "constant_bytes", "times")
            )
            shapes = ((inputs,), (depth,))
            layer = OpRow(
                0,
                row["operator"],
                1,
                "",
                ("int8", "int8"),
                shapes,
                "int8",
                (outputs,),
                depth * outputs,
                constants,
                outputs,
            )
            found.setdefault(row["network"], []).extend([layer] * times)
    return {name: tuple(layers) for name, layers in found.items()}


def _name(model: str) -> str:
    """The name of a network, of a file's or as MLPerf Tiny has it."""
    return next((name for task, name in _TASKS.items() if task in model.lower()), model.removesuffix(".tflite"))


def _target(board: str, runtime: str, mhz: str | None) -> Target | None:
    named = re.search(r"Cortex-M\d+\+?", board)
    core = named[0].lower() if named else next((core for word, core in _CORES.items() if word in board), None)
    words = runtime.lower()
    kernels: Any = next((family for word, family in _KERNELS.items() if word in words), None)
    if core is None or kernels is None:
        return None
    arduino = "arduino" in words
    build: Any = "arduino" if arduino else "-Os" if "-os" in words else "-O2"
    shipped = next((load_target(name) for word, name in _SHIPPED.items() if word in board), None)
    return Target(
        board,
        "board",
        core=core,
        clock_hz=round(float(mhz or 1) * 1e6),
        kernels=kernels,
        kernels_version=_ARDUINO_VERSION if arduino and kernels == "cmsis-nn" else None,
        kernels_build=build,
        flash_cycles_per_byte=shipped.flash_cycles_per_byte if shipped else None,
    )


def _time(board: str, target: Target, network: str, layers: Any, figure: str | None) -> dict[str, Any] | None:
    """The row of a time; None without a figure, or where the cycles of such kernels were not measured."""
    compute, _ = estimate(layers, None, target)
    if not figure or compute is None or compute["cycles_per_inference"] is None:
        return None
    measured = float(figure)
    least, most = (1000 * cycles / compute["clock_hz"] for cycles in compute["cycles_per_inference"])
    return {
        "board": board,
        "kernels": target.library,
        "network": network,
        "measured_ms": measured,
        "least_ms": round(least, 3),
        "most_ms": round(most, 3),
        "most_to_least": round(most / least, 3),
        "error": round(math.sqrt(least * most) / measured - 1, 4),
        "inside": least <= measured <= most,
    }


def _arena(board: str, target: Target, path: Path, measured: int) -> dict[str, Any]:
    arena = arena_of(flatbuffer.read_model(path.read_bytes()), None, target)
    planned, device = arena["planned_32bit_bytes"], arena["device"]
    return {
        "board": board,
        "kernels": target.library,
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


def _show(times: list[dict[str, Any]], arenas: list[dict[str, Any]], left: list[str]) -> None:
    if times:
        heads = ("board", "kernels", "network", "measured ms", "from ms", "to ms", "to/from", "middle")
        print("{:<31} {:<21} {:<14} {:>11} {:>9} {:>9} {:>7} {:>7}".format(*heads))
    for row in times:
        words = f"{row['board']:<31} {row['kernels']:<21} {row['network']:<14} {row['measured_ms']:>11,.3f} "
        words += f"{row['least_ms']:>9,.2f} {row['most_ms']:>9,.2f} {row['most_to_least']:>7.2f} {row['error']:>+7.0%}"
        print(f"{words}  {'inside' if row['inside'] else 'OUTSIDE'}")
    if arenas:
        heads = ("board", "kernels", "model", "scratch", "planned", "measured", "ratio", "off", "given")
        print("\n{:<31} {:<21} {:<20} {:>7} {:>8} {:>8} {:>6} {:>5} {:>8}".format(*heads))
    for row in arenas:
        words = f"{row['board']:<31} {row['kernels']:<21} {row['model']:<20} {row['scratch_bytes']:>7,} "
        words += f"{row['planned_bytes']:>8,} {row['measured_bytes']:>8,} {row['ratio']:>6.3f} "
        words += f"{row['difference_bytes']:>+5} {row['given_bytes']:>8,}"
        print(words + ("" if row["right"] else "  MISSED") + ("" if row["enough"] else "  TOO LITTLE"))
    found = [f"{sum(row['inside'] for row in times)} of {len(times)} times inside"] if times else []
    found += [f"{sum(row['right'] for row in arenas)} of {len(arenas)} arenas within 1 % or {_BYTES} bytes"]
    print("\n" + "; ".join(found if arenas else found[:-1]))
    reasons = ", ".join(sorted({line.rsplit(": ", 1)[1] for line in left}))
    print(f"{len(left)} left out" + (f": {reasons}" if left else ""))


if __name__ == "__main__":
    sys.exit(main())
