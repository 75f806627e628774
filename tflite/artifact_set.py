"""A set of artifacts that work together, with the manifest that says how (no TensorFlow here).

A folder: `NAME.FORMAT.tflite` with its manifest for each member, `set.json` with the wiring, the features, the labels
and the sha256 of every member, and `set.golden.npz` with clips and what the network that was converted gives for them.
"""

from __future__ import annotations

import hashlib
import io
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from keras_mtl import files
from keras_mtl.errors import ArtifactError
from keras_mtl.tflite.artifact import Artifact
from keras_mtl.tflite.stream_set_wiring import StreamWiring
from keras_mtl.tflite.wiring import Wiring

SCHEMA = "keras_mtl.artifact_set/1"
MANIFEST = "set.json"
GOLDEN = "set.golden.npz"
#: The arrays of golden data: clips as the encoder takes them, and real outputs.
_GOLDEN = ("seconds", "scenes", "clips", "strong", "weak", "recording")


@dataclass(frozen=True)
class ArtifactSet:
    """Artifacts that work together.

    Attributes:
        members: the artifacts by their names in the wiring, in the order in which they run.
        manifest: plain values: `part` ("events", "joint" or "stream"), `format`, `cells` (the format of the event
            decoder), `system`, `features`, `labels`, `decoding`, `wiring`, `members` (of each file, sha256, bytes,
            MACs), `parameter_bytes`, `macs_per_second`, `buffer_bytes` (what is kept between calls), `seed`, `data`,
            `git_revision`. A streaming set has `rings` and `latency_s` besides.
        golden: `seconds` [n, frames, mel_bands, 1] in the encoder's input type and `scenes` logits [n, scenes];
            `clips` [m, frames, mel_bands, 1] and `strong` [m, embeddings, events] and `weak` [m, events]
            probabilities. Without a task its arrays are missing. Of a streaming set it is one `recording` [frames,
            mel_bands] in the encoder's input type, `scenes` logits [calls, scenes] and `strong` [embeddings, events].
    """

    members: dict[str, Artifact]
    manifest: dict[str, Any]
    golden: dict[str, np.ndarray] = field(default_factory=dict)

    @staticmethod
    def build(
        members: dict[str, Artifact], wiring: Wiring, facts: dict[str, Any], golden: dict[str, np.ndarray]
    ) -> ArtifactSet:
        """Puts a set together.

        Args:
            members: the artifacts by their names in the wiring.
            wiring: how they work together.
            facts: the manifest keys that the members do not tell.
            golden: reference data.
        """
        frame_rate = facts["features"]["sample_rate_hz"] / facts["features"]["hop"]
        calls = wiring.calls_per_second(frame_rate)
        listed = {name: _entry(members[name], facts, name) for name in wiring.members}
        bytes_of = {end: _state_bytes(members, wiring, end) for end in ("embedding", "state")}
        buffers = wiring.buffer_bytes(bytes_of["embedding"], bytes_of["state"])
        if states := members[wiring.encoder].manifest.get("state_bytes"):
            buffers["encoder_states"] = states
        manifest = {
            "schema": SCHEMA,
            **facts,
            "wiring": wiring.to_dict(),
            "members": listed,
            "parameter_bytes": sum(entry["parameter_bytes"] for entry in listed.values()),
            "macs_per_second": round(sum(calls[name] * listed[name]["macs"] for name in listed)),
            "calls_per_second": {name: round(value, 3) for name, value in calls.items()},
            "buffers": buffers,
            "buffer_bytes": sum(buffers.values()),
        }
        return ArtifactSet({name: members[name] for name in wiring.members}, manifest, golden)

    @property
    def wiring(self) -> Wiring:
        """How the members work together: a `StreamWiring` of a streaming set."""
        return _wiring(self.manifest["wiring"])

    @property
    def stream_wiring(self) -> StreamWiring:
        """How the members of a streaming set work together.

        Raises:
            ArtifactError: the set hears window by window.
        """
        wiring = self.wiring
        if not isinstance(wiring, StreamWiring):
            raise ArtifactError("the set hears clips, and no stream", hint="keras_mtl convert RUN --part stream")
        return wiring

    @property
    def streams(self) -> bool:
        """Whether it is a streaming set."""
        return isinstance(self.wiring, StreamWiring)

    def require_windowed(self, what: str) -> None:
        """Refuses a streaming set where clips are to be heard.

        Args:
            what: who refuses it, for the message.

        Raises:
            ArtifactError: it is a streaming set.
        """
        if self.streams:
            raise ArtifactError(
                f"{what} takes no streaming set", hint="keras_mtl convert RUN --part joint makes one that hears clips"
            )

    def save(self, folder: str | Path) -> Path:
        """Writes the set, whole or not at all. Returns the folder.

        Raises:
            ArtifactError: the folder holds something already, or can't be written to.
        """
        folder = Path(folder)
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise ArtifactError(f"{folder} holds something already", hint="name another folder")
        try:
            with files.new_folder(folder) as made:
                for name, artifact in self.members.items():
                    artifact.save(made / self.manifest["members"][name]["file"])
                packed = io.BytesIO()
                np.savez_compressed(packed, **self.golden)
                files.write_bytes(made / GOLDEN, packed.getvalue())
                files.write_json(made / MANIFEST, self.manifest)
        except OSError as error:
            raise ArtifactError(f"can't write {folder}: {error.strerror}", hint="name another folder") from None
        return folder

    @staticmethod
    def load(path: str | Path) -> ArtifactSet:
        """Reads a set from its folder, or from the path of its `set.json`.

        Raises:
            ArtifactError: it is missing or can't be read, or a member is missing or another one than the manifest's.
        """
        path = Path(path)
        folder = path.parent if path.name == MANIFEST else path
        try:
            manifest = json.loads((folder / MANIFEST).read_text("utf-8"))
            if manifest["schema"] != SCHEMA:
                raise ArtifactError(f"{folder / MANIFEST} has schema {manifest['schema']}, not {SCHEMA}")
            wiring, listed = _wiring(manifest["wiring"]), manifest["members"]
            members = {name: _member(folder, listed[name]) for name in wiring.members}
            golden = _golden(folder / GOLDEN)
        except OSError as error:
            raise ArtifactError(f"can't read the set {folder}: {error.strerror}") from None
        except (ValueError, KeyError, TypeError, AttributeError):
            raise ArtifactError(
                f"{folder / MANIFEST} is not the manifest of a set", hint="convert the run again"
            ) from None
        return ArtifactSet(members, manifest, golden)


def is_set(path: str | Path) -> bool:
    """Whether a path is a set's folder or its `set.json`."""
    path = Path(path)
    return path.name == MANIFEST or (path / MANIFEST).is_file()


def _wiring(values: Any) -> Wiring:
    streams = isinstance(values, dict) and "stream" in values
    return StreamWiring.from_dict(values) if streams else Wiring.from_dict(values)


def _entry(artifact: Artifact, facts: dict[str, Any], name: str) -> dict[str, Any]:
    manifest = artifact.manifest
    macs = manifest["macs_per_second"] * manifest["audio_seconds"]
    keys = ("sha256", "file_bytes", "parameter_bytes", "format")
    return {"file": f"{name}.{manifest['format']}.tflite", "macs": round(macs), **{key: manifest[key] for key in keys}}


def _state_bytes(members: dict[str, Artifact], wiring: Wiring, end: str) -> int:
    """Bytes of one embedding, or of one state of one direction."""
    name = wiring.encoder if end == "embedding" else (wiring.recurrent[0].forward if wiring.recurrent else "")
    if not name:
        return 0
    ports = members[name].manifest["outputs"]
    # A step of an encoder gives its states besides, in whatever order.
    port = next((port for port in ports if port["name"] == end), ports[0])
    return int(port["shape"][-1]) * np.dtype(port["dtype"]).itemsize


def _member(folder: Path, entry: dict[str, Any]) -> Artifact:
    name = str(entry["file"])
    if Path(name).name != name:
        raise ArtifactError(f"the set names a member outside of its folder: {name}")
    artifact = Artifact.load(folder / name)
    if hashlib.sha256(artifact.content).hexdigest() != entry["sha256"]:
        raise ArtifactError(f"{folder / name} is another file than the set's (sha256 differs)", hint="convert again")
    return artifact


def _golden(path: Path) -> dict[str, np.ndarray]:
    if not path.exists():
        return {}
    try:
        with np.load(path, allow_pickle=False) as arrays:
            return {name: arrays[name] for name in arrays if name in _GOLDEN}
    except Exception:  # zipfile, numpy and zlib each raise their own
        raise ArtifactError(f"{path} can't be read", hint="convert again") from None
