"""Reference inputs and outputs of an artifact: what the network that was converted gives for them.

Others may have made or damaged the files. An `.npz` is a zip of arrays, and NumPy makes an array of the size in its
header before it reads the first number; so the headers are read first, and held against the bytes that the zip lists.
"""

from __future__ import annotations

import io
import math
import os
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.lib import format as npy

from keras_mtl.core import ArtifactError, Labels, read_bytes
from keras_mtl.tflite.artifact.member import MOST_MANIFEST_BYTES, Member, parse_json
from keras_mtl.tflite.artifact.port import Port
from keras_mtl.tflite.artifact.wiring import Wiring

_AGAIN = "convert the run again"
#: Of a file of golden data, packed or not. Those of ten clips of ten seconds are 12 MB.
_MOST_ARRAY_BYTES = 128 << 20
_MOST_ARRAYS = 256
_KINDS = "iufbU"


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
    """Refuses to write an artifact where a file of a sidecar's name is somebody else's: only `path` was named.

    Raises:
        ArtifactError: naming the file.
    """
    sidecar = path.with_suffix(".manifest.json")
    try:
        ours = not os.path.lexists(sidecar)
        ours = ours or "keras_mtl" in parse_json(read_bytes(sidecar, MOST_MANIFEST_BYTES))["schema"]
        if ours:
            sidecar = path.with_suffix(".golden.npz")
            ours = not os.path.lexists(sidecar) or "sha256" in _read_arrays(sidecar, lambda _: True)
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
    arrays = _read_arrays(sidecar, lambda name: name == "sha256" or name.startswith(("input_", "output_")))
    if str(arrays.get("sha256")) != member.sha256:
        raise ArtifactError(f"{sidecar.name} belongs to another file (sha256 differs)", hint="convert again")
    ends: dict[str, dict[str, np.ndarray]] = {}
    for end, ports in (("input", member.inputs), ("output", member.outputs)):
        names = [f"{end}_{i}" for i in range(len(ports))]
        if {name for name in arrays if name.startswith(f"{end}_")} != set(names):
            raise ArtifactError(f"{sidecar.name} does not hold {', '.join(names)} and no more", hint="convert again")
        ends[end] = {name: arrays[name] for name in names}
        for name, port in zip(names, ports, strict=True):
            _require_rows(sidecar.name, name, arrays[name], port)
    if len({len(values) for end in ends.values() for values in end.values()}) > 1:
        raise ArtifactError(f"{sidecar.name} holds arrays of different numbers of rows", hint="convert again")
    return Golden(ends["input"], ends["output"])


def read_recording(path: Path, members: Mapping[str, Member], wiring: Wiring, labels: Labels) -> Golden | None:
    """The golden recording of a streaming artifact, held against its ports and its wiring; None where there is none.

    Raises:
        ArtifactError: it can't be read, or does not fit.
    """
    if not os.path.lexists(path):
        return None
    try:
        arrays = _read_arrays(path, ("recording", "scenes", "strong").__contains__)
    except ArtifactError as error:
        raise ArtifactError(f"{path.parent}: {error.message}", hint=error.hint) from None
    port, nothing = members[wiring.encoder].inputs[0], np.zeros(0)  # nothing stands for a missing array
    recording = arrays.get("recording", nothing)
    fits = recording.dtype.name == port.dtype and recording.ndim == 2 and recording.shape[1] == port.shape[2]
    embeddings = len(recording) // wiring.stream.stride - wiring.stream.latency
    wanted = {}
    if wiring.scene_ring:
        wanted["scenes"] = (len(wiring.scene_calls(embeddings)), len(labels.scenes))
    if wiring.classifiers:
        wanted["strong"] = (embeddings, len(labels.events))
    for name, shape in wanted.items():
        values = arrays.get(name, nothing)
        fits = fits and values.shape == shape and values.size > 0
        fits = fits and values.dtype.kind == "f" and bool(np.isfinite(values).all())
    if not fits:
        raise ArtifactError(f"{path} does not fit the artifact: {', '.join(('recording', *wanted))}", hint=_AGAIN)
    return Golden({"recording": recording}, {name: arrays[name] for name in wanted})


def _read_arrays(path: Path, wanted: Callable[[str], bool]) -> dict[str, np.ndarray]:
    """The arrays of an `.npz` file.

    Args:
        path: the file.
        wanted: whether an array of that name is read.

    Raises:
        ArtifactError: it can't be read: no zip, damaged, too large, or with arrays of objects.
    """
    try:
        packed = read_bytes(path, _MOST_ARRAY_BYTES)
        with zipfile.ZipFile(io.BytesIO(packed)) as archive:
            listed = archive.infolist()
            if len(listed) > _MOST_ARRAYS or sum(entry.file_size for entry in listed) > _MOST_ARRAY_BYTES:
                raise ValueError(f"it unpacks to more than {_MOST_ARRAY_BYTES:,} bytes or {_MOST_ARRAYS} arrays")
            named = {entry.filename.removesuffix(".npy"): entry for entry in listed}
            return {name: _array(archive, entry) for name, entry in named.items() if wanted(name)}
    except OSError as error:
        why = error.strerror
    except Exception as error:  # zipfile, numpy and zlib each raise their own
        why = str(error) or type(error).__name__
    raise ArtifactError(f"{path.name} can't be read: {_line(why)}", hint="convert again") from None


def _require_rows(where: str, name: str, values: np.ndarray, port: Port) -> None:
    """Refuses golden data that are not rows of a port's type and size.

    Args:
        where: what to call their file.
        name: what to call the array.
        values: [n, ...].
        port: the input or output that they are for.

    Raises:
        ArtifactError: another type or size, no rows, or values that are no numbers.
    """
    row = math.prod(values.shape[1:])
    if values.dtype.name != port.dtype or not values.ndim or not len(values) or row != port.elements:
        raise ArtifactError(
            f"{where}: {name} is {values.dtype} {list(values.shape)}, which are no rows of {port.dtype} "
            f"{list(port.shape)}",
            hint="convert again",
        )
    if values.dtype.kind == "f" and not np.isfinite(values).all():
        raise ArtifactError(f"{where}: {name} holds values that are no numbers", hint="convert again")


def _array(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> np.ndarray:
    content = archive.read(entry)
    stream = io.BytesIO(content)
    readers = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}
    shape, _, dtype = readers[npy.read_magic(stream)](stream)
    if dtype.kind not in _KINDS:
        raise ValueError(f"{entry.filename} holds no numbers")
    if min(shape, default=1) < 0 or math.prod(shape) * dtype.itemsize != len(content) - stream.tell():
        raise ValueError(f"{entry.filename} has another size than its shape")
    stream.seek(0)
    return npy.read_array(stream, allow_pickle=False)


def _line(text: str | None) -> str:
    shortened = " ".join((text or "damaged").split())[:120]
    return "".join(character for character in shortened if character.isprintable())
