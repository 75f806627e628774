"""Golden vectors: inputs, and what TensorFlow Lite Micro made of them on the host, so that a device can be checked."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from keras_mtl.firmware_host.bundle.c_source import C_TYPES, extern_c, header, opening, values
from keras_mtl.firmware_host.emulator import random_inputs
from keras_mtl.firmware_host.engines import run_engine
from keras_mtl.tflite import flatbuffer
from keras_mtl.tflite.artifact import Artifact

#: Vectors that are also given as C arrays, for a self-test in flash; all of them are in the binary files.
C_VECTORS = 3


@dataclass(frozen=True, eq=False)
class GoldenVectors:
    """Inputs and outputs of one model.

    Attributes:
        inputs: [n, elements] in the input's type.
        outputs: [n, elements] of TensorFlow Lite Micro, in the output's type.
        reference: [n, elements] of the network that was converted; None when the artifact brought none.
    """

    inputs: np.ndarray
    outputs: np.ndarray
    reference: np.ndarray | None

    def binaries(self) -> dict[str, bytes]:
        """The binary files: little-endian elements, vector after vector."""
        arrays = {"golden_input.bin": self.inputs, "golden_output.bin": self.outputs}
        if self.reference is not None:
            arrays["golden_reference.bin"] = self.reference
        return {name: np.ascontiguousarray(a, a.dtype.newbyteorder("<")).tobytes() for name, a in arrays.items()}


def golden_vectors(artifact: Artifact, timeout_s: float) -> GoldenVectors:
    """Runs TensorFlow Lite Micro on the artifact's golden inputs, or on seeded random ones when it has none.

    Raises:
        EngineError: TensorFlow Lite Micro does not run the file.
    """
    golden = artifact.golden
    inputs = golden.inputs if golden else random_inputs(flatbuffer.read_model(artifact.content))
    outputs = run_engine("tflm", artifact.content, inputs, timeout_s).outputs
    count = len(inputs)
    reference = golden.outputs.reshape(count, -1) if golden else None
    return GoldenVectors(inputs.reshape(count, -1), outputs.reshape(count, -1), reference)


def vectors_header(name: str, vectors: GoldenVectors) -> str:
    """The text of `golden_vectors.h`: the first few vectors as C arrays."""
    prefix, count = name.upper(), min(C_VECTORS, len(vectors.inputs))
    body = f"#include <stdint.h>\n\n#define {prefix}_GOLDEN_COUNT {count}\n\n" + extern_c(
        f"extern {_declare(name, 'input', vectors.inputs, count)};\n"
        f"extern {_declare(name, 'output', vectors.outputs, count)};"
    )
    return header(name, "golden_vectors.h", f"The first {count} golden vectors of {name}.", body)


def vectors_source(name: str, vectors: GoldenVectors) -> str:
    """The text of `golden_vectors.c`."""
    count = min(C_VECTORS, len(vectors.inputs))
    parts = [
        f"{_declare(name, kind, array, count)} = {{\n"
        + "\n".join(f"  {{\n{values(vector)}\n  }}," for vector in array[:count])
        + "\n};\n"
        for kind, array in (("input", vectors.inputs), ("output", vectors.outputs))
    ]
    return opening(f"Golden vectors of {name}.") + '#include "golden_vectors.h"\n\n' + "\n".join(parts)


def _declare(name: str, kind: str, array: np.ndarray, count: int) -> str:
    return f"const {C_TYPES[array.dtype.name]} {name}_golden_{kind}[{count}][{array.shape[1]}]"
