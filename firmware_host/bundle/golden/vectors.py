"""Golden vectors: inputs, and what TensorFlow Lite Micro made of them on the host, so that a device can be checked."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from keras_mtl.firmware_host.emulate import random_inputs
from keras_mtl.firmware_host.engines import run
from keras_mtl.tflite.artifact import Artifact

#: Vectors that are also given as C arrays, for a self-test in flash; all of them are in the binary files.
C_VECTORS = 3


@dataclass(frozen=True, eq=False)
class GoldenVectors:
    """Inputs and outputs of one model: an array for each of its tensors, in the file's order.

    Attributes:
        inputs: each [n, elements] in the input's type.
        outputs: each [n, elements] of TensorFlow Lite Micro, in the output's type.
        reference: each [n, elements] of the network that was converted; None when the artifact brought none.
    """

    inputs: tuple[np.ndarray, ...]
    outputs: tuple[np.ndarray, ...]
    reference: tuple[np.ndarray, ...] | None

    def __len__(self) -> int:
        return len(self.inputs[0])

    def named(self) -> Iterator[tuple[str, np.ndarray]]:
        """Inputs and outputs as ("input", array) and ("output", array); with numbers where there are several."""
        yield from _numbered("input", self.inputs)
        yield from _numbered("output", self.outputs)

    def binaries(self) -> dict[str, bytes]:
        """The binary files: little-endian elements, vector after vector."""
        arrays = {f"golden_{kind}.bin": array for kind, array in self.named()}
        arrays |= {f"golden_{kind}.bin": array for kind, array in _numbered("reference", self.reference or ())}
        return {name: np.ascontiguousarray(a, a.dtype.newbyteorder("<")).tobytes() for name, a in arrays.items()}


def golden_vectors(artifact: Artifact, timeout_s: float) -> GoldenVectors:
    """Runs TensorFlow Lite Micro on the artifact's golden inputs, or on seeded random ones when it has none.

    Raises:
        EngineError: TensorFlow Lite Micro does not run the file.
    """
    golden = artifact.golden
    inputs = golden.inputs if golden else random_inputs(artifact.network)
    outputs = run("tflm", artifact, inputs, timeout_s=timeout_s).outputs
    return GoldenVectors(_flat(inputs), _flat(outputs), _flat(golden.outputs) if golden else None)


def numbered(kind: str, place: int, count: int) -> str:
    """Name of one of several tensors: "input" where there is one, else "input_0", "input_1", ..."""
    return kind if count == 1 else f"{kind}_{place}"


def _numbered(kind: str, arrays: tuple[np.ndarray, ...]) -> Iterator[tuple[str, np.ndarray]]:
    for place, array in enumerate(arrays):
        yield numbered(kind, place, len(arrays)), array


def _flat(arrays: Mapping[str, np.ndarray]) -> tuple[np.ndarray, ...]:
    return tuple(array.reshape(len(array), -1) for array in arrays.values())
