"""One `.tflite` file of an artifact, parsed and verified once."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from keras_mtl.core import ArtifactError, KerasMtlError, files
from keras_mtl.tflite import flatbuffer
from keras_mtl.tflite.artifact.facts import UNKNOWN, Facts
from keras_mtl.tflite.artifact.manifest import MOST_BYTES, parse_json, require_same
from keras_mtl.tflite.artifact.port import Port
from keras_mtl.tflite.flatbuffer import macs

SCHEMA = "keras_mtl.artifact/1"
METADATA_NAME = "keras_mtl"
#: Far more than any network for a microcontroller, or a phone, that hears one microphone.
MOST_FILE_BYTES = 256 << 20
#: What the file can't know of itself, and what a device has no use for: it would lie in its flash.
_NOT_EMBEDDED = ("sha256", "file_bytes", "recipe", "metrics")
#: The manifest's keys that are read from the file.
_OF_THE_FILE = ("schema", "inputs", "outputs", "parameter_bytes", "macs_per_second", "sha256", "file_bytes")


@dataclass(frozen=True, eq=False)
class Member:
    """A `.tflite` file that knows what it is.

    Attributes:
        name: in the wiring.
        content: the file's bytes.
        model: the object tree of the file, to be read only.
        facts: what it says of itself and the file does not tell.
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
            facts: the manifest keys that the file itself does not tell.

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
            ArtifactError: not a TFLite file, without a subgraph, or with metadata that can't be read.
        """
        model = flatbuffer.read_model(content)
        embedded = flatbuffer.read_metadata(model, METADATA_NAME)
        bare = cls(name, content, model)
        if embedded is None:
            return cls(name, content, model, Facts({"part": UNKNOWN, "audio_seconds": 1.0}))
        return bare._with_manifest(embedded, "what is embedded in it")

    @classmethod
    def load(cls, path: Path, name: str = "network") -> Member:
        """Reads a file and, where it lies beside it, its manifest.

        Raises:
            ArtifactError: missing, empty, not a TFLite file, without a subgraph, or with a manifest of another file.
        """
        try:
            content = files.read_bytes(path, MOST_FILE_BYTES)
        except OSError as error:
            raise ArtifactError(f"can't read {path}: {error.strerror}") from None
        try:
            sidecar = path.with_suffix(".manifest.json")
            if not os.path.lexists(sidecar):
                return cls.of(content, name)
            try:
                manifest = files.read_bytes(sidecar, MOST_BYTES)
            except OSError as error:
                raise ArtifactError(f"its manifest can't be read: {error.strerror}", hint=_remove(sidecar)) from None
            return cls(name, content, flatbuffer.read_model(content))._with_manifest(manifest, sidecar.name)
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
    def parameter_bytes(self) -> int:
        """Bytes of all constants that operators read."""
        return flatbuffer.parameter_bytes(self.model)

    @cached_property
    def sha256(self) -> str:
        """Digest of the file."""
        return hashlib.sha256(self.content).hexdigest()

    @cached_property
    def manifest(self) -> dict[str, Any]:
        """Plain values: the facts, and what the file says about itself.

        These are `inputs`, `outputs` (see `Port`), `parameter_bytes`, `macs_per_second` (None where the file holds
        operators that can't be counted), `sha256` and `file_bytes`.
        """
        if not self.inputs:
            raise ArtifactError("the TFLite file has no input tensor")
        per_second = None if self.macs is None else self.macs / self.facts.audio_seconds
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
        require_same(manifest, known, "the file says")
        return found


def _remove(sidecar: Path | str) -> str:
    return f"remove {Path(sidecar).name} or convert again"
