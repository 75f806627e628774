"""A `.tflite` file as toolchains hand it on: a C array in a source file, or an archive that holds it.

Known by their content. C arrays are those of `xxd -i`, of TensorFlow Lite Micro's `generate_cc_arrays.py` and of the
many tools that print the like; archives are those of Silicon Labs' MLTK (`NAME.mltk.zip`, with `NAME.tflite` in it),
and any other zip file with one `.tflite` file.
"""

from __future__ import annotations

import io
import re
import zipfile
from pathlib import PurePosixPath

from keras_mtl.core import ArtifactError

IDENTIFIER = b"TFL3"
#: Endings of files that a network may come in.
ENDINGS = (".tflite", ".lite", ".cc", ".c", ".cpp", ".cxx", ".h", ".hpp", ".inc", ".zip")
_LINE_COMMENT = re.compile(rb"//[^\n]*")
# With bounds, so that no text takes more than a time that grows with its length.
_ARRAY = re.compile(rb"\b(\w{1,200})\s{0,9}\[[^\]]{0,200}\][^={};]{0,200}=\s*\{([^{}]*)\}")
_NUMBER = re.compile(rb"(-?)(0[xX][0-9a-fA-F]+|[0-9]+)[uUlL]*")


def is_network(content: bytes) -> bool:
    """Whether bytes begin as a `.tflite` file does."""
    return content[4:8] == IDENTIFIER


def unwrapped(content: bytes, name: str, most_bytes: int) -> bytes:
    """The bytes of the `.tflite` file in what was read; the same ones where they are neither an archive nor a C source.

    Args:
        content: of the file.
        name: of the file, which tells apart several networks of one archive.
        most_bytes: the most that the network may have.

    Raises:
        ArtifactError: an archive or a source without a network, with several, or one that is too large or damaged.
    """
    if is_network(content):
        return content
    if content[:4] == b"PK\x03\x04":
        return _of_archive(content, name, most_bytes)
    if b"{" in content and b"\0" not in content:
        return _of_source(content)
    return content


def _of_archive(content: bytes, name: str, most_bytes: int) -> bytes:
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            listed = [entry for entry in archive.infolist() if entry.filename.endswith(".tflite")]
            wanted = f"{name.partition('.')[0]}.tflite"
            named = [entry for entry in listed if PurePosixPath(entry.filename).name == wanted]
            found = named if len(named) == 1 else listed
            if len(found) != 1:
                held = ", ".join(entry.filename for entry in listed) or "none"
                raise ArtifactError(f"the archive holds not one .tflite file: {held:.200}", hint="unpack it, name one")
            if found[0].file_size > most_bytes:
                raise ArtifactError(f"{found[0].filename} in the archive has more than {most_bytes:,} bytes")
            return archive.read(found[0])
    except (zipfile.BadZipFile, EOFError, NotImplementedError, OSError, RuntimeError, ValueError) as error:
        raise ArtifactError(f"the archive can't be read: {error}", hint="unpack it, and give the .tflite") from None


def _of_source(content: bytes) -> bytes:
    arrays = {
        name.decode("ascii", "replace"): made
        for name, body in _ARRAY.findall(_without_comments(content))
        if (made := _bytes_of(body)) is not None and is_network(made)
    }
    if len(set(arrays.values())) != 1:
        held = ", ".join(arrays) or "none"
        raise ArtifactError(
            f"the source holds not one C array of a .tflite file: {held:.200}",
            hint="give the file with the numbers of one network, or the .tflite",
        )
    return next(iter(arrays.values()))


def _without_comments(source: bytes) -> bytes:
    first, *others = source.split(b"/*")
    return _LINE_COMMENT.sub(b"", b" ".join([first, *(part.partition(b"*/")[2] for part in others)]))


def _bytes_of(body: bytes) -> bytes | None:
    """An array's bytes; None where its elements are something else."""
    numbers = [_NUMBER.fullmatch(part.strip()) for part in body.split(b",")]
    if numbers and not body.rpartition(b",")[2].strip():
        numbers.pop()  # what follows a comma at the end
    try:
        values = [-int(found[2], 0) if found[1] else int(found[2], 0) for found in numbers if found is not None]
    except ValueError:
        return None
    if len(values) < len(numbers) or not all(-128 <= value <= 255 for value in values):
        return None
    return bytes(value & 255 for value in values)
