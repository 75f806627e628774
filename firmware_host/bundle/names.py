"""What networks are called in C, C++ and CMake: unique in a firmware, and words that none of these keeps to itself."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from keras_mtl.core import ArtifactError
from keras_mtl.firmware_host.c99 import identifier
from keras_mtl.tflite.artifact import MANIFEST, UNKNOWN, Artifact

#: What the targets of a bundle's `CMakeLists.txt` add to its name.
_TARGETS = ("", "_listen", "_selftest", "_selftest_main")


def bundle_names(artifacts: Sequence[tuple[Artifact, str]], given: Sequence[str] = ()) -> list[str]:
    """The identifiers of artifacts in C, one for each.

    Where none are given it is the part or "stream", and the format, as "scenes_int8" or "stream_int8". Of a file that
    this project did not make, and of several that would be called the same, it is the name of the file or folder, with
    those above it where they are needed to tell them apart.

    Args:
        artifacts: each with its path; "" where it is not known.
        given: identifiers to take, one for each.

    Raises:
        ArtifactError: names that C, C++ or CMake do not take, or that clash in one firmware.
    """
    if given:
        return _required(given, len(artifacts))
    names = [_own_name(artifact) or _of_path(path, 1) or _by_type(artifact) for artifact, path in artifacts]
    for depth in range(1, 1 + max((len(_parts(path)) for _, path in artifacts), default=0)):
        names = [
            (_of_path(path, depth) or name) if names.count(name) > 1 else name
            for (_, path), name in zip(artifacts, names, strict=True)
        ]
    return _required(names, len(names))


def _required(names: Sequence[str], count: int) -> list[str]:
    """The names, of which so many are needed; refused where they are none or clash."""
    odd = [name for name in names if identifier(name) != name]
    if odd:
        raise ArtifactError(f"{odd[0]!r} is no name for C symbols", hint=f"{identifier(odd[0])!r} is one")
    if len(names) != count:
        raise ArtifactError(
            f"{len(names)} names for {count} artifacts", hint="give --name once for each, in their order"
        )
    targets = [f"{name}{target}" for name in names for target in _TARGETS]
    twice = [name for name in names if any(targets.count(f"{name}{target}") > 1 for target in _TARGETS)]
    if twice:
        raise ArtifactError(f"these names clash in a firmware: {', '.join(twice)}", hint="give others by --name")
    return list(names)


def _own_name(artifact: Artifact) -> str:
    """Of what this project made; else empty."""
    if artifact.streams:
        return identifier(f"{artifact.wiring.schedule.kind} {_format(artifact)}")
    part = artifact.facts.get("part") or "model"
    return "" if part == UNKNOWN else identifier(f"{part} {_format(artifact)}")


def _by_type(artifact: Artifact) -> str:
    return identifier(f"model {_format(artifact)}")


def _format(artifact: Artifact) -> str:
    return artifact.facts.format or artifact.network.inputs[0].dtype


def _parts(path: str) -> list[str]:
    """The parts of a path, without what all artifacts are called."""
    parts = [part for part in Path(path).parts if part not in ("/", ".", "..", MANIFEST)]
    return [*parts[:-1], parts[-1].removesuffix(".tflite")] if parts else []


def _of_path(path: str, depth: int) -> str:
    parts = _parts(path)[-depth:]
    return identifier(" ".join(parts)) if parts else ""
