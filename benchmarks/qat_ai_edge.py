"""ai-edge-quantizer's static quantization of a float `.tflite` file; `qat.py` runs it by the Python that has it.

PYTHON benchmarks/qat_ai_edge.py FLOAT.tflite EXAMPLES.npy FOLDER

FOLDER gets int8.tflite and int16x8.tflite, as far as it comes.
"""

from __future__ import annotations

import sys

import numpy as np
from ai_edge_litert.interpreter import Interpreter
from ai_edge_quantizer import quantizer, recipe


def main(float_file: str, examples_file: str, folder: str) -> None:
    """Calibrates and quantizes by the package's own recipes."""
    ((name, ports),) = Interpreter(float_file).get_signature_list().items()
    examples = [{ports["inputs"][0]: row[None]} for row in np.load(examples_file)]
    for kind, made in (("int8", recipe.static_wi8_ai8()), ("int16x8", recipe.static_wi8_ai16())):
        worker = quantizer.Quantizer(float_file)
        worker.load_quantization_recipe(made)
        worker.quantize(worker.calibrate({name: examples})).export_model(f"{folder}/{kind}.tflite", overwrite=True)


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    main(*sys.argv[1:])
