"""A set of artifacts that work together, with the manifest that says how (no TensorFlow here).

A folder: `NAME.FORMAT.tflite` with its manifest for each member, `set.json` with the wiring, the features, the labels
and the sha256 of every member, and `set.golden.npz` with clips and what the network that was converted gives for them.
"""

from __future__ import annotations

import io
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from keras_mtl import files
from keras_mtl.errors import ArtifactError
from keras_mtl.features import LogMelSettings
from keras_mtl.tflite.artifact import Artifact
from keras_mtl.tflite.manifest import MOST_BYTES, parse_json, require_facts, require_told
from keras_mtl.tflite.set_golden import read_set_golden
from keras_mtl.tflite.stream_set_manifest import require_smoothing, stream_told
from keras_mtl.tflite.stream_set_wiring import StreamWiring
from keras_mtl.tflite.wiring import Wiring

SCHEMA = "keras_mtl.artifact_set/1"
MANIFEST = "set.json"
GOLDEN = "set.golden.npz"
#: What file systems take.
_LONGEST_NAME_BYTES = 255


@dataclass(frozen=True)
class ArtifactSet:
    """Artifacts that work together.

    Attributes:
        members: the artifacts by their names in the wiring, in the order in which they run.
        manifest: plain values: `part` ("events", "joint" or "stream"), `format`, `cells` (the format of the event
            decoder, where there is one), `system`, `features`, `labels`, `decoding`, `wiring`, `members` (of each file,
            sha256, bytes, MACs), `parameter_bytes`, `macs_per_second`, `buffer_bytes` (what is kept between calls),
            `seed`, `data`, `git_revision`. A streaming set has `rings`, `latency_s` and `smoothing` besides.
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
        manifest = {"schema": SCHEMA, **facts, **_told(members, wiring, facts)}
        return ArtifactSet({name: members[name] for name in wiring.members}, manifest, golden)

    @property
    def wiring(self) -> Wiring:
        """How the members work together: a `StreamWiring` of a streaming set."""
        return _wiring(self.manifest["wiring"])

    @property
    def streams(self) -> bool:
        """Whether it is a streaming set."""
        return isinstance(self.wiring, StreamWiring)

    @property
    def stream_wiring(self) -> StreamWiring:
        """How the members of a streaming set work together.

        Raises:
            ArtifactError: the set hears clips.
        """
        wiring = self.wiring
        if not isinstance(wiring, StreamWiring):
            raise ArtifactError("the set hears clips, and no stream", hint="keras_mtl convert RUN --part stream")
        return wiring

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
            ArtifactError: it is missing or can't be read, a member is missing, another one than the manifest's or
                outside of the folder, or the manifest or the golden data do not fit the members.
        """
        path = Path(path)
        folder = path.parent if path.name == MANIFEST else path
        try:
            manifest = parse_json(files.read_bytes(folder / MANIFEST, MOST_BYTES))
            if manifest["schema"] != SCHEMA:
                shown = str(manifest["schema"])[:60]
                raise ArtifactError(f"{folder / MANIFEST} has schema {shown}, not {SCHEMA}")
            wiring, listed = _wiring(manifest["wiring"]), manifest["members"]
            members = {name: _member(folder, listed[name]) for name in wiring.members}
            require_facts(manifest)
            features = LogMelSettings.from_dict(manifest["features"])
            told = _told(members, wiring, {**manifest, "features": features.to_dict()})
            del told["wiring"]  # it is what was read, and of an older set without the keys that came since
            require_told(manifest, told, "its members say")
            require_smoothing(manifest, wiring)
            _require_needed(manifest, features.seconds(wiring.clip_frames), bool(wiring.classifiers))
        except OSError as error:
            raise ArtifactError(f"can't read the set {folder}: {error.strerror}") from None
        except (ValueError, LookupError, TypeError, AttributeError, ArithmeticError):
            raise ArtifactError(
                f"{folder / MANIFEST} is not the manifest of a set", hint="convert the run again"
            ) from None
        golden = read_set_golden(_inside(folder, GOLDEN), members, wiring, manifest)
        return ArtifactSet(members, manifest, golden)


def is_set(path: str | Path) -> bool:
    """Whether a path is a set's folder or its `set.json`."""
    path = Path(path)
    return path.name == MANIFEST or (path / MANIFEST).is_file()


def _wiring(values: Any) -> Wiring:
    streams = isinstance(values, dict) and "stream" in values
    return StreamWiring.from_dict(values) if streams else Wiring.from_dict(values)


def _told(members: dict[str, Artifact], wiring: Wiring, facts: dict[str, Any]) -> dict[str, Any]:
    """The keys of a set's manifest that follow from its members."""
    calls = wiring.calls_per_second(facts["features"]["sample_rate_hz"] / facts["features"]["hop"])
    listed = {name: _entry(members[name], name) for name in wiring.members}
    bytes_of = {end: _state_bytes(members, wiring, end) for end in ("embedding", "state")}
    buffers, streaming = wiring.buffer_bytes(bytes_of["embedding"], bytes_of["state"]), {}
    if isinstance(wiring, StreamWiring):
        streaming = stream_told(members[wiring.encoder], wiring, facts)
        buffers |= streaming.pop("buffers")
    return {
        **streaming,
        "wiring": wiring.to_dict(),
        "members": listed,
        "parameter_bytes": sum(entry["parameter_bytes"] for entry in listed.values()),
        "macs_per_second": round(sum(calls[name] * listed[name]["macs"] for name in listed)),
        "calls_per_second": {name: round(value, 3) for name, value in calls.items()},
        "buffers": buffers,
        "buffer_bytes": sum(buffers.values()),
    }


def _entry(artifact: Artifact, name: str) -> dict[str, Any]:
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


def _inside(folder: Path, name: str) -> Path:
    """A file of the set, which must be in its folder: no way out by its name, and none by a link."""
    path = folder / name
    if len(name.encode("utf-8", "surrogatepass")) > _LONGEST_NAME_BYTES:
        raise ArtifactError(f"the set names a member by {len(name):,} characters, which no file has")
    real, inside = os.path.realpath(path), os.path.realpath(folder)  # Path.resolve raises at links to themselves
    if Path(name).name != name or Path(real).parent != Path(inside):
        raise ArtifactError(f"the set names a member outside of its folder: {name[:60]}")
    return path


def _member(folder: Path, entry: dict[str, Any]) -> Artifact:
    path = _inside(folder, str(entry["file"]))
    artifact = Artifact.load(path)
    if artifact.manifest["sha256"] != entry["sha256"]:
        raise ArtifactError(f"{path} is another file than the set's (sha256 differs)", hint="convert again")
    return artifact


def _require_needed(manifest: dict[str, Any], clip_s: float, events: bool) -> None:
    """Refuses a manifest without what the set is heard by, or with a filter that is longer than its clips."""
    needed = [manifest["audio_seconds"], manifest["labels"]]
    if events:
        needed += [manifest["decoding"][key] for key in ("threshold", "median_s")]
    if None in needed or (events and needed[-1] > clip_s):
        raise ArtifactError("the decoding of the set can't be used", hint="convert the run again")
