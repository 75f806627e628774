"""The file `qat_tfmot.npz`: a described scene part with its weights (no TensorFlow here)."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from keras_mtl.core import RunError, files

SCHEMA = "keras_mtl.tfmot/1"
#: In a run folder: what tfmot's model is rebuilt from, and its forward pass as a TensorFlow graph with its weights.
WEIGHTS_FILE, GRAPH_FILE = "qat_tfmot.npz", "qat_tfmot.pb"
#: Names of the graph's input and output.
GRAPH_INPUT, GRAPH_OUTPUT = "log_mel:0", "scene_logits:0"


def save_twin(path: str | Path, document: Mapping[str, Any], weights: Mapping[str, np.ndarray]) -> None:
    """Writes a description and weights. The same content gives the same bytes."""
    packed = io.BytesIO()
    described = np.array(json.dumps({"schema": SCHEMA, **document}))
    np.savez(packed, description=described, **{f"weights/{name}": weights[name] for name in sorted(weights)})
    files.write_bytes(Path(path), packed.getvalue())


def load_twin(path: str | Path) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Reads a description and weights by "layer/weight".

    Raises:
        RunError: the file is missing or damaged, or of another version.
    """
    try:
        with np.load(path, allow_pickle=False) as arrays:
            document = json.loads(str(arrays["description"]))
            weights = {name.removeprefix("weights/"): arrays[name] for name in arrays if name.startswith("weights/")}
    except (OSError, KeyError, ValueError, zipfile.BadZipFile):
        raise RunError(f"{path} is missing or damaged", hint="quantize the float run again") from None
    if document.get("schema") != SCHEMA:
        raise RunError(f"{path} has schema {document.get('schema')!r}, not {SCHEMA!r}", hint="quantize again")
    return document, weights
