"""Reference inputs and outputs of an artifact: what the network that was converted gives for them."""

from __future__ import annotations

import io
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from keras_mtl.core import ArtifactError, read_bytes
from keras_mtl.tflite.artifact.golden_file import read_golden_file, require_rows
from keras_mtl.tflite.artifact.manifest import MOST_BYTES, parse_json
from keras_mtl.tflite.artifact.member import Member
from keras_mtl.tflite.artifact.wiring import Wiring

_AGAIN = "convert the run again"


@dataclass(frozen=True, eq=False)
class Golden:
    """Reference data of an artifact.

    Attributes:
        inputs: of clips `input_0`, ...: an array for each input of the file, in its order, [n, ...] in the input's type
            (quantized for the integer formats), without the batch dimension. Of a stream `recording`: log-mel
            [frames, mel_bands] in the encoder's input type.
        outputs: what the network that was converted gives for them. Of clips `output_0`, ...: [n, ...] in the output's
            type. Of a stream real values: `scenes`, logits [calls, scenes] of each call of the scene decoder, and
            `strong`, probabilities [embeddings, events].
    """

    inputs: Mapping[str, np.ndarray]
    outputs: Mapping[str, np.ndarray]

    @classmethod
    def of_rows(cls, inputs: tuple[np.ndarray, ...], outputs: tuple[np.ndarray, ...]) -> Golden:
        """Golden data of clips, the arrays in the file's order."""
        return cls(numbered("input", inputs), numbered("output", outputs))


def numbered(end: str, arrays: tuple[np.ndarray, ...]) -> dict[str, np.ndarray]:
    """Arrays by the names `END_0`, `END_1`, ..."""
    return {f"{end}_{number}": values for number, values in enumerate(arrays)}


def pack_rows(golden: Golden, digest: str) -> bytes:
    """The `.golden.npz` file of one `.tflite` file, whose `sha256` it holds."""
    packed = io.BytesIO()
    np.savez(packed, **golden.inputs, **golden.outputs, sha256=np.array(digest))
    return packed.getvalue()


def pack_recording(golden: Golden | None) -> bytes:
    """The file of golden data of a streaming artifact."""
    packed = io.BytesIO()
    np.savez_compressed(packed, **({**golden.inputs, **golden.outputs} if golden else {}))
    return packed.getvalue()


def require_replaceable(path: Path) -> None:
    """Refuses to write an artifact where a file of a sidecar's name is somebody else's: only `path` was asked for.

    Raises:
        ArtifactError: naming the file.
    """
    sidecar = path.with_suffix(".manifest.json")
    try:
        if ours := not os.path.lexists(sidecar) or "keras_mtl" in parse_json(read_bytes(sidecar, MOST_BYTES))["schema"]:
            sidecar = path.with_suffix(".golden.npz")
            ours = not os.path.lexists(sidecar) or "sha256" in read_golden_file(sidecar, lambda _: True)
    except (ArtifactError, OSError, ValueError, LookupError, TypeError, AttributeError):
        ours = False
    if not ours:
        raise ArtifactError(f"{sidecar} is there, and is no artifact's", hint="move it, or name another file")


def read_rows(sidecar: Path, member: Member) -> Golden | None:
    """The golden data beside a file; None where there are none.

    Raises:
        ArtifactError: they can't be read, are another file's, or do not fit its ports.
    """
    if not os.path.lexists(sidecar):
        return None
    arrays = read_golden_file(sidecar, lambda name: name == "sha256" or name.startswith(("input_", "output_")))
    if str(arrays.get("sha256")) != member.sha256:
        raise ArtifactError(f"{sidecar.name} belongs to another file (sha256 differs)", hint="convert again")
    ends: dict[str, dict[str, np.ndarray]] = {}
    for end, ports in (("input", member.inputs), ("output", member.outputs)):
        names = [f"{end}_{i}" for i in range(len(ports))]
        if {name for name in arrays if name.startswith(f"{end}_")} != set(names):
            raise ArtifactError(f"{sidecar.name} does not hold {', '.join(names)} and no more", hint="convert again")
        ends[end] = {name: arrays[name] for name in names}
        for name, port in zip(names, ports, strict=True):
            require_rows(sidecar.name, name, arrays[name], port)
    if len({len(values) for end in ends.values() for values in end.values()}) > 1:
        raise ArtifactError(f"{sidecar.name} holds arrays of different numbers of rows", hint="convert again")
    return Golden(ends["input"], ends["output"])


def read_recording(
    path: Path, members: Mapping[str, Member], wiring: Wiring, labels: Mapping[str, list[str]]
) -> Golden | None:
    """The golden recording of a streaming artifact, held against its ports and its wiring; None where there is none.

    Raises:
        ArtifactError: it can't be read, or does not fit.
    """
    if not os.path.lexists(path):
        return None
    try:
        arrays = read_golden_file(path, ("recording", "scenes", "strong").__contains__)
    except ArtifactError as error:
        raise ArtifactError(f"{path.parent}: {error.message}", hint=error.hint) from None
    port, nothing = members[wiring.encoder].inputs[0], np.zeros(0)  # nothing stands for a missing array
    recording = arrays.get("recording", nothing)
    fits = recording.dtype.name == port.dtype and recording.ndim == 2 and recording.shape[1] == port.shape[2]
    embeddings = len(recording) // wiring.stream.stride - wiring.stream.latency
    wanted = {}
    if wiring.scene_ring:
        wanted["scenes"] = (len(wiring.scene_calls(embeddings)), len(labels.get("scenes", ())))
    if wiring.classifiers:
        wanted["strong"] = (embeddings, len(labels.get("events", ())))
    for name, shape in wanted.items():
        values = arrays.get(name, nothing)
        fits = fits and values.shape == shape and values.size > 0
        fits = fits and values.dtype.kind == "f" and bool(np.isfinite(values).all())
    if not fits:
        raise ArtifactError(f"{path} does not fit the artifact: {', '.join(('recording', *wanted))}", hint=_AGAIN)
    return Golden({"recording": recording}, {name: arrays[name] for name in wanted})
