"""What networks in plain C99 cost on emulated cores: instructions, code, constants and memory, network by network.

    python benchmarks/runtime.py ARTIFACT... [--core NAME]... [--out FILE]

An ARTIFACT is a `.tflite` file or the folder of a streaming one. Needs arm-none-eabi-gcc and qemu-system-arm, which
`make test-firmware` gets. An instruction is no cycle: QEMU counts what is executed, each as one.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "firmware_host"))

from c_programs import CORTEX_M0, CORTEX_M4F, CORTEX_M55, HERE, Core, Program

from keras_mtl.core import to_json, write_text
from keras_mtl.firmware_host.c99 import CNetwork, c_networks, constant_bytes, kernel_texts, networks_texts
from keras_mtl.tflite.artifact import Artifact

SCHEMA = "keras_mtl.runtime/1"
CORES = {core.name: core for core in (CORTEX_M4F, CORTEX_M55, CORTEX_M0)}
# One inference on made-up inputs.
_MAIN = """
#include <stdio.h>
#include <stddef.h>
#include "all.h"
#include "instructions.h"
static uint64_t room[2][MOST_ENDS][MOST_BYTES / 8];
static int number;
static void work(void) {
  const void *inputs[MOST_ENDS];
  void *outputs[MOST_ENDS];
  int k;
  for (k = 0; k < MOST_ENDS; k++) {
    inputs[k] = room[0][k];
    outputs[k] = room[1][k];
  }
  (void)net_run(NULL, number, inputs, outputs);
}
int main(void) {
  const uint64_t loop = ticks_of(known);
  uint32_t seed = 1u, k;
  uint8_t *const at = (uint8_t *)room;
  for (k = 0u; k < sizeof room / 2u; k++) {
    seed = (seed * 1664525u) + 1013904223u;
    at[k] = (uint8_t)(seed >> 24);
  }
  for (number = 0; number < NET_NETWORKS; number++) {
    printf("%u\\n", (unsigned)instructions_of(ticks_of(work), loop));
  }
  return 0;
}
"""


@dataclass(frozen=True)
class Row:
    """One network on one core.

    Attributes:
        artifact, network, core: which.
        instructions: of one inference.
        macs: of one inference.
        calls_per_second: of audio; 0 where that is not known.
        memory_bytes: that it computes in.
        constant_bytes: in flash.
    """

    artifact: str
    network: str
    core: str
    instructions: int
    macs: int
    calls_per_second: float
    memory_bytes: int
    constant_bytes: int


def measure(path: Path, core: Core) -> list[Row]:
    """The networks of an artifact on a core, each in a program of its own."""
    artifact = Artifact.load(path)
    calls, rows = artifact.calls_per_second or {}, []
    for name, member in artifact.members.items():
        networks = c_networks("net", {"only": member.model})
        with tempfile.TemporaryDirectory() as folder:
            instructions = _instructions(networks, core, Path(folder))
        (network,) = networks
        sizes = (network.memory.size_bytes, constant_bytes(network))
        rows.append(Row(path.name, name, core.name, instructions, member.macs or 0, calls.get(name, 0.0), *sizes))
    return rows


def _instructions(networks: list[CNetwork], core: Core, folder: Path) -> int:
    program = networks[0].program
    ends = (program.inputs, program.outputs)
    largest = max(8 * (-(-_size(tensor) // 8)) for tensors in ends for tensor in tensors)
    words = {"MOST_ENDS": max(map(len, ends)), "MOST_BYTES": largest}
    main = _MAIN
    for word, value in words.items():
        main = main.replace(word, str(value))
    for name, text in (networks_texts("net", "all", networks) | kernel_texts() | {"main.c": main}).items():
        (folder / name).write_text(text)
    options = ("-std=c99", "-Wall", "-Wextra", "-Werror", "-ffunction-sections", "-fdata-sections", "-Wl,--gc-sections")
    command = [
        *core.compiler,
        *options,
        f"-I{HERE / 'cortex_m'}",
        *core.extra,
        *map(str, sorted(folder.glob("*.c"))),
        "-o",
        str(folder / "run"),
    ]
    subprocess.run(command, check=True)
    counted = re.findall(r"^(\d+)$", Program(core, folder / "run").run(cwd=folder, icount=True), re.M)
    return int(counted[0])


def table(document: dict[str, Any]) -> str:
    """The rows in Markdown."""
    lines = [
        "| artifact | network | core | instructions | a MAC | M a second of audio | memory | constants |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in document["rows"]:
        per_mac = f"{row['instructions'] / row['macs']:.2f}" if row["macs"] else "-"
        second = row["instructions"] * row["calls_per_second"] / 1e6
        lines.append(
            f"| {row['artifact']} | {row['network']} | {row['core']} | {row['instructions']:,} | {per_mac} | "
            f"{f'{second:.2f}' if second else '-'} | {row['memory_bytes']:,} | {row['constant_bytes']:,} |"
        )
    made = f"Instructions by QEMU's count, one inference. {document['compiler']}, -O2; {document['emulator']}."
    return "\n".join([*lines, "", f"{made} Made by `benchmarks/runtime.py`."]) + "\n"


def main() -> None:
    """Measures, prints the table, and writes it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("artifacts", nargs="+", type=Path)
    parser.add_argument("--core", action="append", choices=list(CORES), help="all by default")
    parser.add_argument("--out", type=Path, help="FILE.json, and FILE.md beside it")
    options = parser.parse_args()
    rows: list[Row] = []
    for path in options.artifacts:
        for name in options.core or CORES:
            rows += measure(path, CORES[name])
    document = {
        "schema": SCHEMA,
        "compiler": _first_line("arm-none-eabi-gcc", "--version"),
        "emulator": _first_line("qemu-system-arm", "--version"),
        "rows": [vars(row) for row in rows],
    }
    print(table(document))
    if options.out:
        write_text(options.out.with_suffix(".md"), table(document))
        write_text(options.out.with_suffix(".json"), to_json(document))


def _size(tensor: Any) -> int:
    size = {"int8": 1, "int16": 2}[tensor.dtype]
    for length in tensor.shape:
        size *= length
    return size


def _first_line(*command: str) -> str:
    line = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()[0]
    return re.sub(r" \([^()]*\)", "", line)


if __name__ == "__main__":
    main()
