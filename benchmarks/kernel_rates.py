"""Instructions a MAC of the kernels in plain C99 on emulated cores, by kind of layer and by depth.

    python benchmarks/kernel_rates.py --out benchmarks/results

Layers of one operator each, of the shapes that `firmware_host/compute/instruction_rates.py` says: convolutions 3x3 and
1x1 of 1 to 64 input and 8 to 56 output channels, dense layers of 16 to 256 inputs, depthwise convolutions 3x3. The
table's lines are what stands in that file. Needs arm-none-eabi-gcc and qemu-system-arm, which `make test-firmware`
gets.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import keras
import numpy as np
from runtime import CORES, measure

from keras_mtl import qat
from keras_mtl.core import write_text
from keras_mtl.firmware_host.compute.instruction_rates import DEPTHS

SCHEMES = ("int8", "int16x8")
#: By kind: input shape and layer, named for reading.
_CONV = [(1, 8, 3), (2, 8, 3), (4, 16, 3), (8, 16, 3), (16, 32, 3), (24, 56, 3), (64, 56, 3)]
_POINTWISE = [(8, 8), (16, 32), (32, 56), (64, 24), (56, 56)]
_DENSE = [(16, 16), (32, 32), (64, 64), (128, 128), (256, 64)]
_DEPTHWISE = [8, 24, 64]


def layers() -> Iterator[tuple[str, int, keras.Model]]:
    """Kind, depth and network of one layer each."""
    made = keras.layers
    for inputs, outputs, size in _CONV:
        yield "conv", inputs * size * size, _model((12, 12, inputs), made.Conv2D(outputs, size, padding="same"))
    for inputs, outputs in _POINTWISE:
        yield "conv", inputs, _model((12, 12, inputs), made.Conv2D(outputs, 1))
    for inputs, outputs in _DENSE:
        yield "dense", inputs, _model((inputs,), made.Dense(outputs))
    for channels in _DEPTHWISE:
        yield "depthwise", 9, _model((12, 12, channels), made.DepthwiseConv2D(3, padding="same"))


def _model(shape: tuple[int, ...], layer: keras.layers.Layer) -> keras.Model:
    given = keras.Input(shape)
    return keras.Model(given, layer(given))


def rates(core: str, scheme: str, folder: Path) -> dict[str, list[tuple[float, float]]]:
    """Least and most instructions for a MAC by kind and depth; a depth without a layer has its neighbours' ends."""
    draws = np.random.default_rng(0)
    found: dict[str, list[list[float]]] = {"conv": [[] for _ in range(4)], "dense": [[] for _ in range(4)]}
    found["depthwise"] = [[]]
    for number, (kind, depth, model) in enumerate(layers()):
        examples = draws.normal(0.0, 1.0, (8, *model.input_shape[1:])).astype(np.float32)
        twin = qat.quantize_model(model, scheme)
        qat.calibrate(twin, examples)
        path = folder / f"{kind}-{number}.{scheme}.tflite"
        qat.convert(twin, examples[:1]).save(path)
        (row,) = measure(path, CORES[core])
        column = 0 if kind == "depthwise" else sum(depth > end for end in DEPTHS)
        found[kind][column].append(row.instructions / row.macs)
        print(f"{core} {scheme} {kind} of depth {depth}: {row.instructions / row.macs:.2f}", file=sys.stderr)
    return {kind: [_ends(cells, at) for at in range(len(cells))] for kind, cells in found.items()}


def _ends(cells: list[list[float]], at: int) -> tuple[float, float]:
    own = cells[at] or [rate for near in (at - 1, at + 1) if 0 <= near < len(cells) for rate in cells[near]]
    return min(own), max(own)


def main() -> None:
    """Measures, prints the table, and writes it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--core", action="append", choices=list(CORES), help="all by default")
    parser.add_argument("--out", type=Path, help="folder for kernel_rates.md")
    options = parser.parse_args()
    lines = [
        "Conv, dense and depthwise: least and most instructions for a MAC, by depth up to 16, 48, 128, and beyond."
    ]
    lines += ["", "| core | scheme | rates |", "|---|---|---|"]
    with tempfile.TemporaryDirectory() as folder:
        for core in options.core or CORES:
            for scheme in SCHEMES:
                cells = rates(core, scheme, Path(folder))
                text = " / ".join(" ".join(f"{low:.1f}-{high:.1f}" for low, high in each) for each in cells.values())
                lines.append(f"| {core} | {scheme} | {text} |")
    print("\n".join(lines))
    if options.out:
        write_text(
            options.out / "kernel_rates.md", "\n".join([*lines, "", "Made by `benchmarks/kernel_rates.py`."]) + "\n"
        )


if __name__ == "__main__":
    main()
