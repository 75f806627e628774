"""A whole firmware in plain C99 on emulated cores: front end, networks, decoders, from samples to scenes and events.

    python benchmarks/firmware_whole.py ARTIFACT... [--core NAME]... [--seconds 28] [--out FILE]

An ARTIFACT is the folder of a streaming one with both tasks. Needs arm-none-eabi-gcc and qemu-system-arm, which
`make test-firmware` gets. An instruction is no cycle: QEMU counts what is executed, each as one.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "firmware_host"))

from c_programs import CORTEX_M0, CORTEX_M4F, CORTEX_M4F_FIXED, CORTEX_M55, HERE, Builder, Core

from keras_mtl.core import Column, Table, to_json, write_text
from keras_mtl.firmware_host.bundle import write_bundle
from keras_mtl.firmware_host.emulate import emulate
from keras_mtl.firmware_host.targets import load_target
from keras_mtl.tflite.artifact import Artifact

SCHEMA = "keras_mtl.firmware_whole/1"
CORES = {core.name: core for core in (CORTEX_M4F, CORTEX_M4F_FIXED, CORTEX_M55, CORTEX_M0)}
#: Seconds before the average begins: with a full ring.
_START = 10
_TABLE = (
    Column("artifact", "artifact"),
    Column("core", "core"),
    Column("M instructions a second", lambda row: row["instructions"] / 1e6, ".2f"),
    Column("M in the worst push of 10 ms", lambda row: row["worst"] / 1e6, ".2f"),
    Column("flash, text and data", "flash", ","),
    Column("RAM, data, bss and stack", "ram", ","),
    Column("of it stack", "stack", ","),
)


def measure(path: Path, core: Core, seconds: int) -> dict[str, Any] | None:
    """One bundle on one core, in a program with nothing else but its audio and the C library's `printf`.

    Returns:
        The row; None where it is too large for the machine's memory.

    Raises:
        RuntimeError: a network failed, or nothing was heard.
    """
    artifact = Artifact.load(path)
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        report = emulate(artifact, load_target("stm32h743"), ("tflm",), runtime="c99")
        bundle = write_bundle([(artifact, report)], folder / "bundle", runtime="c99").path
        name = json.loads((bundle / "manifest.json").read_text(encoding="utf-8"))["name"]
        builder = Builder(replace(core, extra=_with_code_memory(core, folder)), folder / "built")
        words = [f"-DPREFIX={name}", f"-DUPPER={name.upper()}", f"-DSECONDS={seconds}u", f"-DSTART={_START}u"]
        try:
            program = builder.program(HERE / "cortex_m" / "whole.c", *words, bundle=bundle)
        except AssertionError as error:
            if " overflowed by " in str(error):
                return None
            raise
        printed = program.run(cwd=folder, icount=True, timeout_s=1800)
        found = {key: int(value) for key, value in re.findall(r"^(\w+) (\d+)$", printed, re.M)}
        sizes = subprocess.run(["arm-none-eabi-size", program.path], check=True, capture_output=True, text=True)
    text, data, bss, *_ = map(int, sizes.stdout.splitlines()[1].split()[:3])
    if found["failed"] or not found["heard"]:
        raise RuntimeError(f"{path} on {core.name}: a network failed, or nothing was heard")
    row = {"artifact": path.name, "core": core.name, "flash": text + data, "ram": data + bss + found["stack"]}
    return row | {key: found[key] for key in ("instructions", "worst", "stack")}


def _with_code_memory(core: Core, folder: Path) -> tuple[str, ...]:
    """What else a core's programs are linked with; mps2-an386 has 4 MB of code memory, and a bundle may need them."""
    if core.machine != "mps2-an386":
        return core.extra
    memory = (HERE / "cortex_m" / "mps.ld").read_text(encoding="utf-8").replace("LENGTH = 512K", "LENGTH = 4096K", 1)
    write_text(folder / "mps.ld", memory)
    return tuple(f"-T{folder}/mps.ld" if each.startswith("-T") else each for each in core.extra)


def main() -> None:
    """Measures, prints the table, and writes it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("artifacts", nargs="+", type=Path)
    parser.add_argument("--core", action="append", choices=list(CORES), help="all by default")
    parser.add_argument("--seconds", type=int, default=28, help="of audio (default 28: a ring and two passes)")
    parser.add_argument("--out", type=Path, help="FILE.json, and FILE.md beside it")
    options = parser.parse_args()
    rows = []
    for path in options.artifacts:
        for name in options.core or CORES:
            row = measure(path, CORES[name], options.seconds)
            print(row or f"{path} is too large for the memory of QEMU's machine with a {name}", file=sys.stderr)
            rows += [row] if row else []
    made = f"{options.seconds} s of audio each, the averages over all but the first {_START}."
    made += " Made by `benchmarks/firmware_whole.py`."
    text = "\n".join([*Table(_TABLE, rows).markdown(), "", made, ""])
    print(text, end="")
    if options.out:
        write_text(options.out.with_suffix(".md"), text)
        write_text(
            options.out.with_suffix(".json"), to_json({"schema": SCHEMA, "seconds": options.seconds, "rows": rows})
        )


if __name__ == "__main__":
    main()
