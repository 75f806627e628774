"""Runs a bundle's self-test, compiled as a shared library, with its networks on the real TensorFlow Lite Micro.

A program: `run_selftest.py LIBRARY BUNDLE [NETWORK CALL OUTPUT INDEX]`. Prints JSON: the status, the lines and the
calls of each network. With the four numbers, that element of that call's output is spoiled by one.
"""

from __future__ import annotations

import ctypes
import json
import math
import re
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from keras_mtl.firmware_host.engines.exchange import native_words
from keras_mtl.firmware_host.engines.interpreters import open_model
from keras_mtl.tflite import flatbuffer
from keras_mtl.tflite.artifact import Member

RUN = ctypes.CFUNCTYPE(
    ctypes.c_int, ctypes.c_void_p, ctypes.c_int, ctypes.POINTER(ctypes.c_void_p), ctypes.POINTER(ctypes.c_void_p)
)
PRINT = ctypes.CFUNCTYPE(None, ctypes.c_char_p)


def networks_of(bundle: Path) -> list[Path]:
    """The `.tflite` files in the order of their numbers in the networks' header."""
    (header,) = bundle.glob("*_networks.h")
    name = json.loads((bundle / "manifest.json").read_text())["name"].upper()
    defined = re.findall(rf"^#define {name}_(\w+) \d+$", header.read_text(), re.M)
    roles = defined[: defined.index("NETWORKS")]  # behind it the size of an arena that is shared
    folder = bundle / "models" if (bundle / "models").is_dir() else bundle
    return [folder / f"{role.lower()}.tflite" for role in roles]


@contextmanager
def running(paths: Sequence[Path], spoiled: tuple[int, ...] = ()) -> Iterator[tuple[Any, list[int]]]:
    """Opens networks; gives the function that runs them for C, and how often each was called.

    `spoiled`: network, call, output and element that gets one more; none where it is empty.
    """
    calls = [0] * len(paths)
    with tempfile.TemporaryDirectory() as exchange, native_words(Path(exchange)):
        request = {"engine": "tflm", "arena_bytes": 1 << 22, "folder": exchange}
        members = [Member.of(path.read_bytes()) for path in paths]
        opened = [open_model(member.content, member.inputs, member.outputs, request) for member in members]
        models = [member.model for member in members]
        ends = [(flatbuffer.graph_inputs(model), flatbuffer.graph_outputs(model)) for model in models]

        def read(pointer: int, tensor: object) -> np.ndarray:
            dtype, shape = np.dtype(flatbuffer.tensor_dtype(tensor)), flatbuffer.tensor_shape(tensor)
            return np.frombuffer(ctypes.string_at(pointer, dtype.itemsize * math.prod(shape)), dtype).reshape(shape)

        def run(_: object, network: int, inputs: object, outputs: object) -> int:
            given = [read(inputs[i], tensor) for i, tensor in enumerate(ends[network][0])]
            for i, values in enumerate(opened[network].invoke(given)):
                flat = values.ravel().copy()
                if spoiled[:3] == (network, calls[network], i):
                    flat[spoiled[3]] += 1
                if outputs[i] is not None:
                    ctypes.memmove(outputs[i], flat.tobytes(), flat.nbytes)
            calls[network] += 1
            return 0

        yield RUN(run), calls


def main(library: str, folder: str, *spoil: str) -> None:
    """Runs the self-test and prints what came of it."""
    bundle, lines = Path(folder), []
    paths = networks_of(bundle)
    with running(paths, tuple(map(int, spoil))) as (run, calls):
        selftest = getattr(
            ctypes.CDLL(library), json.loads((bundle / "manifest.json").read_text())["name"] + "_selftest"
        )
        status = selftest(run, None, PRINT(lambda line: lines.append(line.decode())))
    print(
        json.dumps({"status": status, "lines": lines, "calls": dict(zip([p.stem for p in paths], calls, strict=True))})
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
