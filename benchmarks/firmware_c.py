"""What the C around the network costs on a Cortex-M: code, memory, stack, instructions, under QEMU.

    python benchmarks/firmware_c.py --out benchmarks/results
    python benchmarks/firmware_c.py --recordings DIR --out benchmarks/results

With recordings it measures, too, how far the log-mel of the C lies from librosa's on 200 of them, two seconds of each.

Needs arm-none-eabi-gcc and qemu-system-arm: `make test-firmware` gets both, and runs this. An
instruction is no cycle: these figures compare parts and cores, and are no latency.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "firmware_host"))

import numpy as np
from c_programs import CORTEX_M, CORTEX_M0, CORTEX_M4F_FIXED, FIXED, HERE, KINDS, Builder, Core, Hearing, hear
from levels import fixed_difference, largest_difference, pcm, spread

from keras_mtl.core import to_json, write_text
from keras_mtl.firmware_host.device import FixedLogMel

SCHEMA = "keras_mtl.firmware_c/1"
#: The parts, in the order of their numbers in `measure.c`, each with what `instructions` are for.
PARTS = {
    "log-mel": "a second of audio (features of `mt`: 100 frames of 2048 points, 128 bands, to int8)",
    "event decoder": "a second of audio (25 steps, 10 classes, median of 11)",
    "scene smoother": "a call (10 scenes)",
    "driver of cells": "a second of audio (25 steps, two bidirectional layers of 64 units), less the cells' own",
    "listener": "a second of audio (sizes of `mt` in int8; front end and decoders are in it, networks are not)",
}
#: The fixed-point front end besides.
CORES = (*CORTEX_M, CORTEX_M4F_FIXED, CORTEX_M0)
#: Instructions by which a count may be wrong: two ticks of 40.
_COUNT_APART = 80
#: Recordings that are heard, and the seconds of each.
_RECORDINGS, _SECONDS = 200, 2.0
#: What is measured, and how it is called in the table.
FIGURES = {
    "code_bytes": "code and tables",
    "kept_bytes": "memory kept",
    "scratch_bytes": "scratch",
    "stack_bytes": "stack",
    "instructions": "instructions",
}


def measure(core: Core, folder: Path) -> list[dict[str, Any]]:
    """Measures all parts on one core.

    Args:
        core: one that QEMU emulates.
        folder: for what is compiled.

    Returns:
        A row for each part: `part`, `core`, and the `FIGURES`.
    """
    builder = Builder(core, folder)
    source = HERE / "cortex_m" / "measure.c"
    programs = [builder.program(source, f"-DMEASURE={number}", kinds=["mt"]) for number in range(len(PARTS) + 1)]
    without, *sizes = map(_code_bytes, (program.path for program in programs))
    rows = []
    for part, program, size in zip(PARTS, programs[1:], sizes, strict=True):
        counted = dict(re.findall(r"^(\w+) (\d+)$", program.run(cwd=folder, icount=True), re.M))
        # A second loop of known length: the count must be right but for a tick of the clock and the call.
        if abs(int(counted["other_counted"]) - int(counted["other_has"])) > _COUNT_APART:
            raise RuntimeError(
                f"{core.name}: {counted['other_has']} instructions were counted as {counted['other_counted']}"
            )
        row = {"part": part, "core": core.name, "code_bytes": size - without}
        rows.append(row | {name: int(counted[name]) for name in FIGURES if name != "code_bytes"})
    return rows


def differences(core: Core, folder: Path, recordings: Sequence[Path]) -> dict[str, Any]:
    """How far the log-mel of the C on one core lies from librosa's, with the features of `mt`.

    Args:
        core: one that QEMU emulates.
        folder: for what is compiled.
        recordings: .wav or .flac.

    Returns:
        `core`, `recordings`, the largest difference in any of them in dB (`largest_db`; in fixed point of bands within
        50 dB of a frame's loudest one), and in fixed point `off_python`, levels that are not those of the Python twin.
    """
    settings, fixed = KINDS["mt"], core in FIXED
    program = Builder(core, folder).program(HERE / "c" / "run.c")
    row: dict[str, Any] = {"core": core.name, "recordings": len(recordings), "largest_db": 0.0}
    if fixed:
        row["off_python"] = 0
    for path in recordings:
        samples = pcm(path, settings.sample_rate_hz, _SECONDS)
        (frames,) = hear(program, folder, Hearing("mt", samples))
        difference = (fixed_difference if fixed else largest_difference)(frames["levels"], samples, settings)
        row["largest_db"] = max(row["largest_db"], round(difference, 4))
        if fixed:
            row["off_python"] += int(np.sum(frames["levels"] != FixedLogMel(settings)(samples[None])[0]))
    return row


def table(document: dict[str, Any]) -> str:
    """The rows in Markdown."""
    lines = ["| part | core | " + " | ".join(FIGURES.values()) + " | for |", "|---" * (3 + len(FIGURES)) + "|"]
    for row in document["rows"]:
        cells = [row["part"], row["core"], *(f"{row[name]:,}" for name in FIGURES), PARTS[row["part"]]]
        lines.append("| " + " | ".join(cells) + " |")
    made = f"Bytes, and instructions by QEMU's count. {document['compiler']}, -O2; {document['emulator']}."
    lines += ["", f"{made} Made by `make test-firmware`."]
    if document.get("differences"):
        lines += [
            "",
            "| log-mel on | recordings | largest difference from librosa | levels off the Python twin |",
            "|---|---|---|---|",
        ]
        for row in document["differences"]:
            cells = [row["core"], str(row["recordings"]), f"{row['largest_db']:.4f} dB", str(row.get("off_python", ""))]
            lines.append("| " + " | ".join(cells) + " |")
        lines += ["", "Two seconds of each recording; in fixed point bands within 50 dB of a frame's loudest one."]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measures, prints the table, and writes it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, help="folder for firmware_c.md and firmware_c.json")
    parser.add_argument("--recordings", type=Path, help="folder with .wav or .flac, anywhere in it")
    arguments = parser.parse_args()
    out = arguments.out
    for core in CORES:
        if core.missing:
            sys.exit(f"{core.name} needs {' and '.join(core.missing)}: `make test-firmware` gets what it may")
    with tempfile.TemporaryDirectory() as folder:
        rows = [row for number, core in enumerate(CORES) for row in measure(core, Path(folder) / str(number))]
        compared = []
        if arguments.recordings:
            paths = spread(arguments.recordings, _RECORDINGS)
            compared = [differences(core, Path(folder) / f"heard-{core.name}", paths) for core in CORES]
        elif out and (out / "firmware_c.json").is_file():  # those of an earlier run
            compared = json.loads((out / "firmware_c.json").read_text(encoding="utf-8")).get("differences", [])
    rows.sort(key=lambda row: list(PARTS).index(row["part"]))
    document = {
        "schema": SCHEMA,
        "compiler": _first_line("arm-none-eabi-gcc", "--version"),
        "emulator": _first_line("qemu-system-arm", "--version"),
        "rows": rows,
        "differences": compared,
    }
    print(table(document))
    if out:
        write_text(out / "firmware_c.md", table(document))
        write_text(out / "firmware_c.json", to_json(document))


def _code_bytes(program: Path) -> int:
    """Code, constants and initial values: what lies in flash."""
    listed = subprocess.run(["arm-none-eabi-size", str(program)], check=True, capture_output=True, text=True).stdout
    text, data, *_ = listed.splitlines()[1].split()
    return int(text) + int(data)


def _first_line(*command: str) -> str:
    line = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()[0]
    # Without the packager's own marks: "(Debian ...)".
    return re.sub(r" \([^()]*\)", "", line)


if __name__ == "__main__":
    main()
