"""The artifact: a `.tflite` file, what is known about it, and golden inputs and outputs (no TensorFlow here).

`scenes.int8.tflite` is saved with `scenes.int8.manifest.json` and `scenes.int8.golden.npz` beside it. The manifest is
also embedded in the file (metadata entry "keras_mtl"), except the hash and the size, so a lone `.tflite` still says
what it is. Sidecars carry the file's sha256 and are refused when it is another file's.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from keras_mtl.errors import ArtifactError, KerasMtlError
from keras_mtl.files import read_bytes, to_json, write_bytes, write_text
from keras_mtl.tflite import flatbuffer
from keras_mtl.tflite.golden_file import read_golden_file, require_rows
from keras_mtl.tflite.macs import macs
from keras_mtl.tflite.manifest import MOST_BYTES, parse_json, require_facts, require_told

SCHEMA = "keras_mtl.artifact/1"
METADATA_NAME = "keras_mtl"
#: Far more than any network for a microcontroller, or a phone, that hears one microphone.
MOST_FILE_BYTES = 256 << 20
#: What the file can't know of itself, and what a device has no use for: it would lie in its flash.
_NOT_EMBEDDED = ("sha256", "file_bytes", "recipe", "metrics")


@dataclass(frozen=True)
class Golden:
    """Reference data of an artifact: an array for each input and each output, in the file's order.

    Attributes:
        inputs: each [n, ...] in the input's type (quantized for the integer formats), without the batch dimension.
        outputs: each [n, ...] what the network that was converted gives for them, in the output's type.
    """

    inputs: tuple[np.ndarray, ...]
    outputs: tuple[np.ndarray, ...]


@dataclass(frozen=True)
class Artifact:
    """A converted network that knows what it is.

    Attributes:
        content: bytes of the `.tflite` file.
        manifest: plain values: what the file is, made from what, and its costs. See `describe` for the keys that are
            read from the file; `part`, `format`, `system`, `features`, `labels`, `audio_seconds`, `output`, `seed`,
            `git_revision`, `data`, `recipe` (name, sha256 of its file) and `metrics` come from the run.
        golden: reference inputs and outputs, when there are any.
    """

    content: bytes
    manifest: dict[str, Any]
    golden: Golden | None = None

    @staticmethod
    def build(content: bytes, facts: dict[str, Any], golden: Golden | None = None) -> Artifact:
        """Embeds what is known about a model in the file, and makes its manifest.

        Args:
            content: bytes of a `.tflite` file.
            facts: the manifest keys that the file itself does not tell.
            golden: reference inputs and outputs.

        Raises:
            ArtifactError: not a TFLite file.
        """
        model = flatbuffer.read_model(content)
        manifest = {"schema": SCHEMA, **facts, **describe(content, float(facts.get("audio_seconds") or 1.0))}
        embedded = {key: value for key, value in manifest.items() if key not in _NOT_EMBEDDED}
        flatbuffer.set_metadata(model, METADATA_NAME, json.dumps(embedded, ensure_ascii=False).encode())
        content = flatbuffer.write_model(model)
        return Artifact(content, {**manifest, **_identity(content)}, golden)

    def save(self, path: str | Path) -> Path:
        """Writes FILE.tflite, FILE.manifest.json and, if there is golden data, FILE.golden.npz. Returns the path.

        Raises:
            ArtifactError: the place can't be written to.
        """
        path = Path(path)
        try:
            write_bytes(path, self.content)
            write_text(path.with_suffix(".manifest.json"), to_json(self.manifest))
            if self.golden is None:
                path.with_suffix(".golden.npz").unlink(missing_ok=True)
            else:
                write_bytes(path.with_suffix(".golden.npz"), _packed(self.golden, self.manifest["sha256"]))
        except OSError as error:
            raise ArtifactError(f"can't write {path}: {error.strerror}", hint="name another file or folder") from None
        return path

    @staticmethod
    def load(path: str | Path) -> Artifact:
        """Reads an artifact, or a `.tflite` file of others (its manifest then has the part "unknown").

        Raises:
            ArtifactError: missing, empty, not a TFLite file, without a subgraph, or with a sidecar of another file.
        """
        path = Path(path)
        try:
            content = read_bytes(path, MOST_FILE_BYTES)
        except OSError as error:
            raise ArtifactError(f"can't read {path}: {error.strerror}") from None
        try:
            model = flatbuffer.read_model(content)
            manifest = _read_manifest(path, content, model)
            golden = _read_golden(path, manifest)
        except ArtifactError as error:
            raise ArtifactError(f"{path}: {error.message}", hint=error.hint) from None
        return Artifact(content, manifest, golden)


def describe(content: bytes, audio_seconds: float) -> dict[str, Any]:
    """What a `.tflite` file says about itself.

    Args:
        content: the file's bytes.
        audio_seconds: seconds of audio that one invocation covers.

    Returns:
        `inputs`, `outputs` (of each: name, dtype, shape, scale, zero_point), `parameter_bytes`, `macs_per_second`
        (None where the file holds operators that can't be counted), `file_bytes` and `sha256`.
    """
    model = flatbuffer.read_model(content)
    inputs = [_port(tensor) for tensor in flatbuffer.graph_inputs(model)]
    if not inputs:
        raise ArtifactError("the TFLite file has no input tensor")
    try:
        per_second: float | None = macs(content) / audio_seconds
    except KerasMtlError:
        per_second = None
    return {
        "inputs": inputs,
        "outputs": [_port(tensor) for tensor in flatbuffer.graph_outputs(model)],
        "parameter_bytes": flatbuffer.parameter_bytes(model),
        "macs_per_second": int(per_second) if per_second is not None and per_second.is_integer() else per_second,
        **_identity(content),
    }


def quantize(values: np.ndarray, port: dict[str, Any]) -> np.ndarray:
    """Real values as integers of a port (one of the manifest's `inputs` or `outputs`); unchanged for a float port.

    Rounds half to even, as every engine's reference does for inputs, and saturates.
    """
    dtype = np.dtype(port["dtype"])
    if dtype.kind == "f":
        return np.asarray(values, dtype)
    limits = np.iinfo(dtype)
    levels = np.rint(np.asarray(values, np.float64) / port["scale"]) + port["zero_point"]
    return np.clip(levels, limits.min, limits.max).astype(dtype)


def dequantize(levels: np.ndarray, port: dict[str, Any]) -> np.ndarray:
    """Integers of a port as real values, float32; unchanged for a float port."""
    if np.dtype(port["dtype"]).kind == "f":
        return np.asarray(levels, np.float32)
    return ((levels.astype(np.float64) - port["zero_point"]) * port["scale"]).astype(np.float32)


def _port(tensor: Any) -> dict[str, Any]:
    found = flatbuffer.quantization(tensor)
    return {
        "name": flatbuffer.tensor_name(tensor),
        "dtype": flatbuffer.tensor_dtype(tensor),
        "shape": list(flatbuffer.tensor_shape(tensor)),
        "scale": found.scale[0] if found else None,
        "zero_point": found.zero_point[0] if found else None,
    }


def _packed(golden: Golden, digest: str) -> bytes:
    """The `.golden.npz` file: `input_0`, `input_1`, ..., `output_0`, ... and the `sha256` of their `.tflite` file."""
    packed = io.BytesIO()
    ends = {"input": golden.inputs, "output": golden.outputs}
    arrays = {f"{end}_{i}": values for end, listed in ends.items() for i, values in enumerate(listed)}
    np.savez(packed, **arrays, sha256=np.array(digest))
    return packed.getvalue()


def _identity(content: bytes) -> dict[str, Any]:
    return {"sha256": hashlib.sha256(content).hexdigest(), "file_bytes": len(content)}


def _read_manifest(path: Path, content: bytes, model: Any) -> dict[str, Any]:
    identity = _identity(content)
    sidecar = path.with_suffix(".manifest.json")
    embedded = flatbuffer.read_metadata(model, METADATA_NAME)
    try:
        if os.path.lexists(sidecar):
            manifest = parse_json(read_bytes(sidecar, MOST_BYTES))
        elif embedded is not None:
            manifest = {**parse_json(embedded), **identity}
        else:
            seconds = 1.0  # the file of others does not say how much audio it hears
            return {"schema": SCHEMA, "part": "unknown", "audio_seconds": seconds, **describe(content, seconds)}
        described = manifest["schema"], manifest["sha256"]
    except (ValueError, KeyError, TypeError, OSError) as error:
        why = f": {error.strerror if isinstance(error, OSError) else error}" if str(error).startswith("it ") else ""
        raise ArtifactError(
            f"its manifest can't be read{why}", hint=f"remove {sidecar.name} or convert again"
        ) from None
    if described[0] != SCHEMA:
        raise ArtifactError(f"its manifest has schema {str(described[0])[:60]}, not {SCHEMA}", hint="convert again")
    if described[1] != identity["sha256"]:
        raise ArtifactError(f"{sidecar.name} describes another file (sha256 differs)", hint="convert again")
    require_facts(manifest)
    require_told(manifest, describe(content, float(manifest.get("audio_seconds", 1.0))), "the file says")
    return manifest


def _read_golden(path: Path, manifest: dict[str, Any]) -> Golden | None:
    sidecar = path.with_suffix(".golden.npz")
    if not os.path.lexists(sidecar):
        return None
    arrays = read_golden_file(sidecar, lambda name: name == "sha256" or name.startswith(("input_", "output_")))
    if str(arrays.get("sha256")) != manifest["sha256"]:
        raise ArtifactError(f"{sidecar.name} belongs to another file (sha256 differs)", hint="convert again")
    ends = {}
    for end in ("input", "output"):
        names = [f"{end}_{i}" for i in range(len(manifest[f"{end}s"]))]
        if {name for name in arrays if name.startswith(f"{end}_")} != set(names):
            raise ArtifactError(f"{sidecar.name} does not hold {', '.join(names)} and no more", hint="convert again")
        ends[end] = tuple(arrays[name] for name in names)
        for name, port in zip(names, manifest[f"{end}s"], strict=True):
            require_rows(sidecar.name, name, arrays[name], port)
    if len({len(values) for values in (*ends["input"], *ends["output"])}) > 1:
        raise ArtifactError(f"{sidecar.name} holds arrays of different numbers of rows", hint="convert again")
    return Golden(ends["input"], ends["output"])
