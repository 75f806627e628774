"""One `.tflite` file of an artifact, parsed and verified once, and its manifest.

Others may have made or damaged a manifest, so it must be strict JSON. What it repeats of its `.tflite` file must be
what the file holds: a scale or a count that is another one would make every figure after it wrong.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import msgspec

from keras_mtl.core import ArtifactError, KerasMtlError, files, is_one_line, nearest
from keras_mtl.tflite import flatbuffer
from keras_mtl.tflite.artifact.facts import STATED, UNKNOWN, Facts
from keras_mtl.tflite.artifact.port import Port
from keras_mtl.tflite.flatbuffer import macs

SCHEMA = "keras_mtl.artifact/1"
METADATA_NAME = "keras_mtl"
#: Far more than any network for a microcontroller, or a phone, with one microphone.
MOST_FILE_BYTES = 256 << 20
#: What the file can't know of itself, and what a device has no use for: it would lie in its flash.
_NOT_EMBEDDED = ("sha256", "file_bytes", "recipe", "metrics", "tuning")
#: The manifest's keys that are read from the file.
_OF_THE_FILE = ("schema", "inputs", "outputs", "parameter_bytes", "macs_per_second", "sha256", "file_bytes")
#: Manifests hold some thousand bytes.
MOST_MANIFEST_BYTES = 4 << 20
_MOST_NUMBER = 1 << 63
_AGAIN = "convert the run again"


@dataclass(frozen=True, eq=False)
class Member:
    """A `.tflite` file with what is known about it.

    Attributes:
        name: in the wiring.
        content: the file's bytes.
        model: the object tree of the file, to be read only.
        facts: what is known about it and does not follow from the file.
    """

    name: str
    content: bytes
    model: Any
    facts: Facts = field(default_factory=Facts)

    @classmethod
    def build(cls, name: str, model: Any, facts: dict[str, Any]) -> Member:
        """Embeds what is known about a file in it (the metadata entry "keras_mtl"), and makes its manifest.

        Args:
            name: in the wiring.
            model: the object tree of the file, which is changed.
            facts: the manifest keys that do not follow from the file.

        Raises:
            ArtifactError: facts of a wrong type, or a file without an input.
        """
        made = cls(name, b"", model, Facts(facts))
        embedded = {key: value for key, value in made.manifest.items() if key not in _NOT_EMBEDDED}
        flatbuffer.set_metadata(model, METADATA_NAME, json.dumps(embedded, ensure_ascii=False).encode())
        return cls(name, flatbuffer.write_model(model), model, made.facts)

    @classmethod
    def of(cls, content: bytes, name: str = "network") -> Member:
        """A file by its bytes alone: what is embedded in it is what is known about it.

        Raises:
            ArtifactError: not a TFLite file, without operators, or with metadata that can't be read.
        """
        model = flatbuffer.read_model(content)
        _require_operators(model)
        embedded = flatbuffer.read_metadata(model, METADATA_NAME)
        bare = cls(name, content, model)
        if embedded is None:
            return cls(name, content, model, Facts({"part": UNKNOWN}))
        return bare._with_manifest(embedded, "what is embedded in it")

    @classmethod
    def load(cls, path: Path, name: str = "network", signature: str | None = None) -> Member:
        """Reads a file and, where it lies beside it, its manifest.

        Args:
            path: a `.tflite` file, a C source with one as an array, or an archive with one: see `flatbuffer.unwrapped`.
            name: in the wiring.
            signature: the one of its signatures that is the network; the one that comes first by default.

        Raises:
            ArtifactError: missing, empty, not a TFLite file, without operators or without the signature, or with a
                manifest of another file.
        """
        try:
            content = files.read_bytes(path, MOST_FILE_BYTES)
        except OSError as error:
            raise ArtifactError(f"can't read {path}: {error.strerror}") from None
        try:
            content = flatbuffer.unwrapped(content, path.name, MOST_FILE_BYTES)
            if signature is not None:
                content = _of_signature(content, signature)
            sidecar = path.with_suffix(".manifest.json")
            if not os.path.lexists(sidecar):
                return cls.of(content, name)
            try:
                manifest = files.read_bytes(sidecar, MOST_MANIFEST_BYTES)
            except OSError as error:
                raise ArtifactError(f"its manifest can't be read: {error.strerror}", hint=_remove(sidecar)) from None
            model = flatbuffer.read_model(content)
            _require_operators(model)
            return cls(name, content, model)._with_manifest(manifest, sidecar.name)
        except ArtifactError as error:
            raise ArtifactError(f"{path}: {error.message}", hint=error.hint) from None

    @cached_property
    def inputs(self) -> tuple[Port, ...]:
        """Its inputs, in the file's order."""
        return tuple(map(Port.of, flatbuffer.graph_inputs(self.model)))

    @cached_property
    def outputs(self) -> tuple[Port, ...]:
        """Its outputs, in the file's order."""
        return tuple(map(Port.of, flatbuffer.graph_outputs(self.model)))

    @cached_property
    def macs(self) -> int | None:
        """Multiply-accumulates of one inference; None where the file holds operators that can't be counted."""
        try:
            return macs(self.model)
        except KerasMtlError:
            return None

    @cached_property
    def signatures(self) -> dict[str, int]:
        """The subgraph of each of the file's signatures by its name."""
        return flatbuffer.signatures(self.model)

    @cached_property
    def keeps_state(self) -> bool:
        """Whether an inference may depend on those before it."""
        return flatbuffer.keeps_state(self.model)

    @cached_property
    def parameter_bytes(self) -> int:
        """Bytes of all constants that operators read."""
        return flatbuffer.parameter_bytes(self.model)

    @cached_property
    def sha256(self) -> str:
        """Digest of the file."""
        return hashlib.sha256(self.content).hexdigest()

    @cached_property
    def manifest(self) -> dict[str, Any]:
        """Plain values: the facts, and what follows from the file.

        These are `inputs`, `outputs` (see `Port`), `parameter_bytes`, `macs_per_second` (None where the file holds
        operators that can't be counted, or it is not known how often it runs), `sha256` and `file_bytes`.
        """
        if not self.inputs:
            raise ArtifactError("the TFLite file has no input tensor")
        hop_s = self.facts.hop_s
        per_second = None if self.macs is None or hop_s is None else self.macs / hop_s
        return {
            "schema": SCHEMA,
            **self.facts.values,
            "inputs": [port.to_dict() for port in self.inputs],
            "outputs": [port.to_dict() for port in self.outputs],
            "parameter_bytes": self.parameter_bytes,
            "macs_per_second": int(per_second) if per_second is not None and per_second.is_integer() else per_second,
            "sha256": self.sha256,
            "file_bytes": len(self.content),
        }

    def save(self, path: Path) -> None:
        """Writes FILE.tflite and FILE.manifest.json."""
        files.write_bytes(path, self.content)
        files.write_json(path.with_suffix(".manifest.json"), self.manifest)

    def _with_manifest(self, content: bytes, where: str) -> Member:
        """The same file with the facts of a manifest, which must be this file's."""
        embedded = not where.endswith(".json")
        try:
            manifest = parse_json(content)
            if not embedded and self._is_of_others and "schema" not in manifest:
                return self._with_stated(manifest, where)
            schema = manifest["schema"]
            digest = self.sha256 if embedded else manifest["sha256"]
        except (ValueError, KeyError, TypeError) as error:
            why = f": {error}" if str(error).startswith("it ") else ""
            raise ArtifactError(f"its manifest can't be read{why}", hint=_remove(where)) from None
        if schema != SCHEMA:
            raise ArtifactError(f"its manifest has schema {str(schema)[:60]}, not {SCHEMA}", hint="convert again")
        if digest != self.sha256:
            raise ArtifactError(f"{where} describes another file (sha256 differs)", hint="convert again")
        facts = Facts({key: value for key, value in manifest.items() if key not in _OF_THE_FILE})
        found = Member(self.name, self.content, self.model, facts)
        known = {key: value for key, value in found.manifest.items() if key in _OF_THE_FILE}
        if embedded:
            known = {key: value for key, value in known.items() if key not in _NOT_EMBEDDED}
        require_same(manifest, known, "the file holds")
        return found

    @property
    def _is_of_others(self) -> bool:
        return flatbuffer.read_metadata(self.model, METADATA_NAME) is None

    def _with_stated(self, stated: dict[str, Any], where: str) -> Member:
        """A file of others with what is stated about it, as {"hop_s": 0.03}."""
        for key in stated:
            if key not in STATED:
                raise ArtifactError(f"{where}: no key {key[:60]}", hint=nearest(key, STATED))
        return Member(self.name, self.content, self.model, Facts({"part": UNKNOWN, **stated}))


def _of_signature(content: bytes, name: str) -> bytes:
    """The bytes of a file whose network is that of a signature: the same ones where it comes first."""
    model = flatbuffer.read_model(content)
    found = flatbuffer.of_signature(model, name)
    return content if found is model else flatbuffer.write_model(found)


def _require_operators(model: Any) -> None:
    """Refuses a file whose first subgraph, the one that runs, has no operators."""
    if model.subgraphs[0].operators is None or not len(model.subgraphs[0].operators):
        named = ", ".join(flatbuffer.signatures(model))
        hint = f"choose one of its signatures: {named}" if named else "convert the network that was meant"
        raise ArtifactError("the TFLite file computes nothing: its first subgraph holds no operators", hint=hint)


def _remove(sidecar: Path | str) -> str:
    return f"remove {Path(sidecar).name} or convert again"


def parse_json(content: bytes) -> Any:
    """A JSON document without what only makes trouble later: numbers that none are, and texts of more than one line.

    Raises:
        ValueError: too large or too deep, not UTF-8, not JSON, NaN or infinities, whole numbers beyond 64 bits, texts
            with control characters or half characters.
    """
    if len(content) > MOST_MANIFEST_BYTES:
        raise ValueError(f"it holds more than {MOST_MANIFEST_BYTES:,} bytes")
    try:
        document = msgspec.json.decode(content)
        _require_plain(document)
    except RecursionError:
        raise ValueError("it is nested too deep") from None
    except msgspec.DecodeError as error:
        raise ValueError(f"it is not JSON: {error}") from None
    return document


def require_same(manifest: Mapping[str, Any], known: Mapping[str, Any], by: str) -> None:
    """Refuses a manifest that differs from what it describes.

    Args:
        manifest: of an artifact or a member.
        known: what is so.
        by: where it is from, as "the file holds".

    Raises:
        ArtifactError: naming the key.
    """
    for key, value in known.items():
        if key not in manifest:
            raise ArtifactError(f"its manifest lacks {key}", hint=_AGAIN)
        if manifest[key] != value:
            raise ArtifactError(f"its manifest's {key} is not what {by}", hint=_AGAIN)


def _require_plain(value: Any) -> None:
    if isinstance(value, str):
        # Half characters can't be printed, and control characters would steer the terminal.
        if not is_one_line(value):
            raise ValueError("it holds a text with characters that can't be printed")
    elif isinstance(value, int):
        if abs(value) >= _MOST_NUMBER:
            raise ValueError("it holds a whole number beyond 64 bits")
    elif isinstance(value, dict):
        for key, inner in value.items():
            _require_plain(key)
            _require_plain(inner)
    elif isinstance(value, list):
        for inner in value:
            _require_plain(inner)
