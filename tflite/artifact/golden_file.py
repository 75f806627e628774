"""Reads `.npz` files of golden data, which others may have made or damaged: numbers only, and no more than they say.

An `.npz` is a zip of arrays, and NumPy makes an array as large as its header says before it reads the first number. So
the headers are read first, and held against the bytes that the zip lists.
"""

from __future__ import annotations

import io
import math
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.lib import format as npy

from keras_mtl.core import ArtifactError, read_bytes
from keras_mtl.tflite.artifact.port import Port

#: Of a file, packed or not. Golden data of ten clips of ten seconds are 12 MB.
MOST_BYTES = 128 << 20
_MOST_ARRAYS = 256
_KINDS = "iufbU"


def read_golden_file(path: Path, wanted: Callable[[str], bool]) -> dict[str, np.ndarray]:
    """The arrays of an `.npz` file.

    Args:
        path: the file.
        wanted: whether an array of that name is read.

    Raises:
        ArtifactError: it can't be read: no zip, damaged, too large, or with arrays of objects.
    """
    try:
        packed = read_bytes(path, MOST_BYTES)
        with zipfile.ZipFile(io.BytesIO(packed)) as archive:
            listed = archive.infolist()
            if len(listed) > _MOST_ARRAYS or sum(entry.file_size for entry in listed) > MOST_BYTES:
                raise ValueError(f"it unpacks to more than {MOST_BYTES:,} bytes or {_MOST_ARRAYS} arrays")
            named = {entry.filename.removesuffix(".npy"): entry for entry in listed}
            return {name: _array(archive, entry) for name, entry in named.items() if wanted(name)}
    except OSError as error:
        why = error.strerror
    except Exception as error:  # zipfile, numpy and zlib each raise their own
        why = str(error) or type(error).__name__
    raise ArtifactError(f"{path.name} can't be read: {_line(why)}", hint="convert again") from None


def require_rows(where: str, name: str, values: np.ndarray, port: Port) -> None:
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


def _line(words: str | None) -> str:
    said = " ".join((words or "damaged").split())[:120]
    return "".join(character for character in said if character.isprintable())
