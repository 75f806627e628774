"""Many generated networks in one program, for this machine and for emulated cores, run on given inputs."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from c_programs import Core, Program

from keras_mtl.firmware_host.c99 import CNetwork, c_networks, kernel_texts, networks_texts
from keras_mtl.firmware_host.reference import Tensor

STRICT = ("-std=c99", "-Wall", "-Wextra", "-Werror", "-pedantic", "-Wshadow", "-Wdouble-promotion")
# Reads the number of a network and its inputs, and writes the outputs, until the file ends.
_MAIN = """
#include <stdio.h>
#include <stdlib.h>
#include "all.h"
static const unsigned sizes[NET_NETWORKS][2][MOST_ENDS] = {SIZES};
static uint64_t room[2][MOST_ENDS][MOST_BYTES / 8];
int main(void) {
  FILE *const in = fopen("inputs", "rb"), *const out = fopen("outputs", "wb");
  int number;
  if ((in == NULL) || (out == NULL) || (net_start() != 0)) {
    return 2;
  }
  while (fread(&number, sizeof number, 1u, in) == 1u) {
    const void *inputs[MOST_ENDS];
    void *outputs[MOST_ENDS];
    unsigned k;
    for (k = 0u; k < MOST_ENDS; k++) {
      inputs[k] = room[0][k];
      outputs[k] = room[1][k];
      if (fread(room[0][k], 1u, sizes[number][0][k], in) != sizes[number][0][k]) {
        return 3;
      }
    }
    if (net_run(NULL, number, inputs, outputs) != 0) {
      return 4;
    }
    for (k = 0u; k < MOST_ENDS; k++) {
      if (fwrite(outputs[k], 1u, sizes[number][1][k], out) != sizes[number][1][k]) {
        return 5;
      }
    }
  }
  return (fclose(out) == 0) ? 0 : 6;
}
"""
_LOCAL = re.compile(
    r"\b((?:layer|row|sums|parts|constant|\w*bias|weights|multipliers|shifts|table|exps|\w+_lut)_\d+)\b"
)


@dataclass(frozen=True, eq=False)
class Compiled:
    """Networks in one program.

    Attributes:
        networks: in the order of their numbers.
        program: that has them.
    """

    networks: list[CNetwork]
    program: Program

    def run(self, calls: Sequence[tuple[int, Sequence[np.ndarray]]], folder: Path) -> list[list[np.ndarray]]:
        """Outputs of calls, each the number of a network and its inputs."""
        with (folder / "inputs").open("wb") as file:
            for number, inputs in calls:
                file.write(np.int32(number).tobytes() + b"".join(map(np.ndarray.tobytes, inputs)))
        self.program.run(cwd=folder)
        content, found, at = (folder / "outputs").read_bytes(), [], 0
        for number, _ in calls:
            outputs = []
            for tensor in self.networks[number].program.outputs:
                size = _bytes(tensor)
                outputs.append(np.frombuffer(content[at : at + size], tensor.dtype).reshape(tensor.shape))
                at += size
            found.append(outputs)
        assert at == len(content)
        return found


def write_sources(models: Sequence[Any], folder: Path) -> list[CNetwork]:
    """Sources of networks and of a program with all of them; names of a file get a number, to lie in one file."""
    networks = c_networks("net", {f"n{number}": model for number, model in enumerate(models)})
    texts = networks_texts("net", "all", networks) | kernel_texts()
    sources = [texts.pop(f"n{number}_network.c") for number in range(len(models))]
    texts["networks.c"] = "".join(_LOCAL.sub(rf"\1_of_{number}", text) for number, text in enumerate(sources))
    ends = [(each.program.inputs, each.program.outputs) for each in networks]
    most = max(len(end) for both in ends for end in both)
    sizes = [[[*map(_bytes, end), *[0] * (most - len(end))] for end in both] for both in ends]
    largest = max(size for both in sizes for end in both for size in end)
    listed = str(sizes).replace("[", "{").replace("]", "}")
    main = _MAIN.replace("{SIZES}", listed).replace("MOST_ENDS", str(most)).replace("MOST_BYTES", str(largest + 8))
    for name, text in (texts | {"main.c": main}).items():
        (folder / name).write_text(text)
    return networks


def compiled(models: Sequence[Any], core: Core, folder: Path) -> Compiled:
    """The program for a core."""
    networks = write_sources(models, folder)
    command = [*core.compiler, *STRICT, "-ffunction-sections", *core.extra, *map(str, sorted(folder.glob("*.c")))]
    path = folder / "networks"
    done = subprocess.run([*command, "-Wl,--gc-sections", "-o", str(path)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[:4000]
    return Compiled(networks, Program(core, path))


def _bytes(tensor: Tensor) -> int:
    return int(np.prod(tensor.shape)) * np.dtype(tensor.dtype).itemsize
