"""Runs a bundle's networks in the real TensorFlow Lite Micro for a self-test on an emulated core.

A program: `serve_networks.py BUNDLE`, in a folder with the named pipes `requests` and `answers`, whose other ends
`cortex_m/selftest_main.c` has. Ends as the self-test does, and prints how many calls there were.
"""

from __future__ import annotations

import math
import sys
import tempfile
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from run_selftest import networks_of

from keras_mtl.firmware_host.engines.exchange import native_words
from keras_mtl.firmware_host.engines.interpreters import open_model
from keras_mtl.tflite.artifact import Member


class _Network:
    """One network, and the types and shapes of its ends."""

    def __init__(self, content: bytes, request: dict[str, Any]) -> None:
        member = Member.of(content)
        self._model = open_model(content, member.inputs, member.outputs, request)
        self._inputs, outputs = (
            [(np.dtype(port.dtype), port.shape) for port in ports] for ports in (member.inputs, member.outputs)
        )
        self._bytes = [[dtype.itemsize * math.prod(shape) for dtype, shape in ends] for ends in (self._inputs, outputs)]

    def header(self) -> bytes:
        """Number of inputs and outputs, and the bytes of each."""
        return np.array([*map(len, self._bytes), *self._bytes[0], *self._bytes[1]], "<u4").tobytes()

    def answer(self, requests: BinaryIO) -> bytes:
        """Takes one call's inputs, gives its outputs."""
        given = [
            np.frombuffer(requests.read(count), dtype).reshape(shape)
            for (dtype, shape), count in zip(self._inputs, self._bytes[0], strict=True)
        ]
        return b"".join(np.ascontiguousarray(values).tobytes() for values in self._model.invoke(given))


def main(bundle: str) -> None:
    """Serves until the other end is closed."""
    calls = 0
    with tempfile.TemporaryDirectory() as exchange, native_words(Path(exchange)):
        request = {"engine": "tflm", "arena_bytes": 1 << 22, "folder": exchange}
        networks = [_Network(path.read_bytes(), request) for path in networks_of(Path(bundle))]
        with Path("requests").open("rb") as requests, Path("answers").open("wb", buffering=0) as answers:
            answers.write(np.uint32(len(networks)).tobytes() + b"".join(network.header() for network in networks))
            while number := requests.read(4):
                answers.write(networks[int.from_bytes(number, "little")].answer(requests))
                calls += 1
    print(calls)


if __name__ == "__main__":
    main(*sys.argv[1:])
