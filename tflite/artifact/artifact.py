"""The artifact: one or more `.tflite` files, how they work together, what is known about them, and golden data.

Of one file it is saved as `scenes.int8.tflite` with `scenes.int8.manifest.json` and `scenes.int8.golden.npz` beside it.
The manifest is also embedded in the file (metadata entry "keras_mtl"), except the hash and the size, so a lone
`.tflite` file has it, too. Sidecars carry the file's sha256 and are refused when it is another file's. A streaming
artifact is a folder: `NAME.FORMAT.tflite` with its manifest for each member, `artifact.json` and `golden.npz`.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from keras_mtl.core import ArtifactError, FeatureMismatch, files
from keras_mtl.tflite import flatbuffer
from keras_mtl.tflite.artifact.facts import Facts
from keras_mtl.tflite.artifact.golden import (
    Golden,
    pack_recording,
    pack_rows,
    read_recording,
    read_rows,
    require_replaceable,
)
from keras_mtl.tflite.artifact.member import MOST_MANIFEST_BYTES, Member, parse_json, require_same
from keras_mtl.tflite.artifact.totals import totals
from keras_mtl.tflite.artifact.wiring import Clip, Wiring

SCHEMA = "keras_mtl.streaming_artifact/1"
MANIFEST = "artifact.json"
GOLDEN = "golden.npz"
#: What file systems take.
_LONGEST_NAME_BYTES = 255
_AGAIN = "convert the run again"
#: Of the folders that earlier versions wrote.
_SET_MANIFEST, _SET_GOLDEN, _SET_SCHEMA = "set.json", "set.golden.npz", "keras_mtl.artifact_set/1"


@dataclass(frozen=True, eq=False)
class Artifact:
    """A converted network with what is known about it.

    Attributes:
        members: its files by their names in the wiring, in the order in which they run.
        wiring: how they work together, and when they run.
        facts: what it is, and what it was made from.
        golden: reference inputs and outputs, when there are any.
    """

    members: Mapping[str, Member]
    wiring: Wiring
    facts: Facts
    golden: Golden | None = None

    @staticmethod
    def of(content: bytes) -> Artifact:
        """An artifact of the bytes of one `.tflite` file; of one that this project did not make, the part is "unknown".

        Raises:
            ArtifactError: not a TFLite file, without a subgraph, or with metadata that can't be read.
        """
        return Artifact.of_member(Member.of(content))

    @staticmethod
    def of_member(member: Member, golden: Golden | None = None) -> Artifact:
        """An artifact of one file, which takes clips."""
        if member.facts.part in ("scenes", "events") and member.facts.get("labels"):
            _require_count(member.facts, member.facts.part, member)
        return Artifact({member.name: member}, Wiring(encoder=member.name), member.facts, golden)

    @staticmethod
    def build(content: bytes, facts: dict[str, Any], golden: Golden | None = None) -> Artifact:
        """An artifact of one file, which takes clips; what is known about it is embedded in the file.

        Args:
            content: bytes of a `.tflite` file.
            facts: the manifest keys that do not follow from the file.
            golden: reference inputs and outputs.

        Raises:
            ArtifactError: not a TFLite file, or facts of a wrong type.
        """
        return Artifact.of_member(Member.build("network", flatbuffer.read_model(content), facts), golden)

    @staticmethod
    def streaming(
        members: Mapping[str, Member], wiring: Wiring, facts: dict[str, Any], golden: Golden | None = None
    ) -> Artifact:
        """A streaming artifact.

        Args:
            members: the files by their names in the wiring.
            wiring: with the schedule of a stream.
            facts: the manifest keys that do not follow from the members.
            golden: a recording, and the reference outputs for it.
        """
        ordered = {name: members[name] for name in wiring.members}
        return Artifact(ordered, wiring, Facts({"schedule": wiring.stream.kind, **facts}), golden)

    @cached_property
    def manifest(self) -> dict[str, Any]:
        """Plain values: the facts, and what follows from the files: see `Member.manifest` and `totals.totals`."""
        if isinstance(self.wiring.schedule, Clip):
            return self.network.manifest
        return {"schema": SCHEMA, **self.facts.values, **totals(self.members, self.wiring, self.facts)}

    @property
    def streams(self) -> bool:
        """Whether it takes a stream."""
        return self.wiring.streams

    @property
    def network(self) -> Member:
        """The first member: the one file of an artifact that takes clips, the encoder of a streaming one."""
        return self.members[self.wiring.encoder]

    @property
    def file_bytes(self) -> int:
        """Bytes of all files."""
        return sum(len(member.content) for member in self.members.values())

    @property
    def sha256(self) -> str:
        """Digest of the file; of several, of their digests."""
        digests = [member.sha256 for member in self.members.values()]
        return digests[0] if len(digests) == 1 else hashlib.sha256("".join(digests).encode()).hexdigest()

    @property
    def parameter_bytes(self) -> int:
        """Bytes of the constants of all files."""
        return sum(member.parameter_bytes for member in self.members.values())

    @property
    def macs_per_second(self) -> float | None:
        """Multiply-accumulates for one second of audio; None where a file holds operators that can't be counted."""
        return self.manifest["macs_per_second"]

    @property
    def step_s(self) -> float:
        """Seconds from one embedding of a streaming artifact to the next."""
        return self.wiring.stream.stride * self.facts.features.hop_s

    @property
    def calls_per_second(self) -> dict[str, float] | None:
        """How often each member runs for one second of audio; None of a file that does not say how often it runs."""
        if self.streams:
            return self.wiring.calls_per_second(1 / self.facts.features.hop_s)
        hop_s = self.facts.hop_s
        return None if hop_s is None else self.wiring.calls_per_second(0.0, hop_s)

    def every(self, hop_s: float) -> Artifact:
        """The same file, said to run so often: seconds from one inference to the next.

        Raises:
            ArtifactError: it takes a stream, which says itself how often its members run.
        """
        if self.streams:
            raise ArtifactError("a streaming artifact says itself how often it runs", hint="leave the hop out")
        member = self.network
        facts = Facts({**member.facts.values, "hop_s": hop_s})
        return Artifact.of_member(Member(member.name, member.content, member.model, facts), self.golden)

    def with_facts(self, facts: Mapping[str, Any]) -> Artifact:
        """The same networks with some facts changed, as `decoding`: what a file has embedded is written anew.

        Raises:
            ArtifactError: facts of a wrong type, or a median filter that is longer than what the decoder reads.
        """
        values = {**self.facts.values, **facts}
        if self.streams:
            made = Artifact(self.members, self.wiring, Facts(values), self.golden)
            _require_needed(made)
            return made
        model = flatbuffer.read_model(self.network.content)
        return Artifact.of_member(Member.build(self.network.name, model, values), self.golden)

    def save_facts(self, path: str | Path) -> Path:
        """Writes the artifact over the one that it was made of by `with_facts`. Returns the path.

        Of a streaming artifact that is its `artifact.json` alone, whole or not at all. Of one file all three are
        written, one after the other: where that is interrupted, the artifact is refused until it is done again.

        Raises:
            ArtifactError: the folder is of an earlier version, or can't be written to.
        """
        path = Path(path)
        if not self.streams:
            return self.save(path)
        folder = path.parent if path.name in (MANIFEST, _SET_MANIFEST) else path
        if not (folder / MANIFEST).is_file():
            raise ArtifactError(f"{folder} is of an earlier version", hint="write to another folder")
        try:
            files.write_json(folder / MANIFEST, self.manifest)
        except OSError as error:
            raise ArtifactError(f"can't write {folder}: {error.strerror}") from None
        return folder

    def save(self, path: str | Path) -> Path:
        """Writes the artifact, whole or not at all. Returns the path.

        Args:
            path: of an artifact of one file, the `.tflite` file, whose sidecars are written beside it; of a streaming
                artifact the folder to make.

        Raises:
            ArtifactError: the folder holds something already, a file of a sidecar's name is no artifact's, or the
                place can't be written to.
        """
        path = Path(path)
        try:
            return self._save_folder(path) if self.streams else self._save_file(path)
        except OSError as error:
            if isinstance(error, FileExistsError) and path.exists():  # and not a file where a folder is needed
                raise ArtifactError(f"{path} holds something already", hint="name another folder") from None
            raise ArtifactError(f"can't write {path}: {error.strerror}", hint="name another file or folder") from None

    @staticmethod
    def load(path: str | Path, signature: str | None = None) -> Artifact:
        """Reads an artifact: a `.tflite` file, the folder of a streaming artifact, or the `artifact.json` in it.

        A `.tflite` file may be the array of a C source, or lie in an archive: see `flatbuffer.unwrapped`.

        Args:
            path: of the file or the folder.
            signature: of a file with several, the one that is the network; the one that comes first by default.

        Raises:
            ArtifactError: it is missing or can't be read, has no such signature, a member is missing, is another file
                than the manifest's or lies outside of the folder, or the manifest or the golden data do not fit the
                files.
        """
        path = Path(path)
        if is_folder(path):
            if signature is not None:
                raise ArtifactError(f"{path} is a streaming artifact, whose files have one network each")
            folder = path.parent if path.name in (MANIFEST, _SET_MANIFEST) else path
            try:
                return _load_folder(folder)
            except (ArtifactError, FeatureMismatch) as error:
                where = "" if str(folder) in error.message else f"{folder}: "
                raise ArtifactError(f"{where}{error.message}", hint=error.hint) from None
        member = Member.load(path, signature=signature)
        try:
            return Artifact.of_member(member, read_rows(path.with_suffix(".golden.npz"), member))
        except ArtifactError as error:
            raise ArtifactError(f"{path}: {error.message}", hint=error.hint) from None

    def _save_file(self, path: Path) -> Path:
        require_replaceable(path)
        self.network.save(path)
        golden = path.with_suffix(".golden.npz")
        if self.golden is None:
            golden.unlink(missing_ok=True)  # it would be another file's
        else:
            files.write_bytes(golden, pack_rows(self.golden, self.network.sha256))
        return path

    def _save_folder(self, folder: Path) -> Path:
        with files.new_folder(folder) as made:
            for name, member in self.members.items():
                member.save(made / self.manifest["members"][name]["file"])
            files.write_bytes(made / GOLDEN, pack_recording(self.golden))
            files.write_json(made / MANIFEST, self.manifest)
        return folder


def is_folder(path: str | Path) -> bool:
    """Whether a path is the folder of a streaming artifact, or the manifest in it."""
    path = Path(path)
    return path.name in (MANIFEST, _SET_MANIFEST) or any((path / name).is_file() for name in (MANIFEST, _SET_MANIFEST))


def is_artifact(path: str | Path) -> bool:
    """Whether a path names an artifact by its ending, or is the folder of a streaming one."""
    return Path(path).suffix.lower() in flatbuffer.ENDINGS or is_folder(path)


def _load_folder(folder: Path) -> Artifact:
    older = not (folder / MANIFEST).is_file()
    name, golden_name = (_SET_MANIFEST, _SET_GOLDEN) if older else (MANIFEST, GOLDEN)
    try:
        manifest = parse_json(files.read_bytes(folder / name, MOST_MANIFEST_BYTES))
        if older:
            manifest = _from_set(manifest, folder)
        elif manifest["schema"] != SCHEMA:
            raise ArtifactError(f"{folder / name} has schema {str(manifest['schema'])[:60]}, not {SCHEMA}")
        wiring, listed = Wiring.from_dict(manifest["wiring"]), manifest["members"]
        members = {each: _member(folder, each, listed[each]) for each in wiring.members}
        derived = {"schema", "rings", "latency_s", "wiring", "members", "parameter_bytes", "macs_per_second"}
        derived |= {"calls_per_second", "buffers", "buffer_bytes"}
        facts = Facts({key: value for key, value in manifest.items() if key not in derived})
        artifact = Artifact(members, wiring, facts)
        if facts.get("labels") is None or facts.get("audio_seconds") is None:
            raise ArtifactError("the artifact's manifest has no labels or no length of audio", hint=_AGAIN)
        known = {key: value for key, value in artifact.manifest.items() if key in derived - {"schema"}}
        require_same(manifest, known, "its members hold")
        _require_needed(artifact)
    except OSError as error:
        raise ArtifactError(f"can't read the artifact {folder}: {error.strerror}") from None
    except (ValueError, LookupError, TypeError, AttributeError, ArithmeticError):
        raise ArtifactError(f"{folder / name} is not the manifest of an artifact", hint=_AGAIN) from None
    golden = read_recording(_inside(folder, golden_name), members, wiring, facts.labels)
    return Artifact(members, wiring, facts, golden)


def _inside(folder: Path, name: str) -> Path:
    """A file of the artifact, which must be in its folder: no way out by its name, and none by a link."""
    path = folder / name
    if len(name.encode("utf-8", "surrogatepass")) > _LONGEST_NAME_BYTES:
        raise ArtifactError(f"the artifact names a member by {len(name):,} characters, which no file has")
    real, inside = os.path.realpath(path), os.path.realpath(folder)  # Path.resolve raises at links to themselves
    if Path(name).name != name or Path(real).parent != Path(inside):
        raise ArtifactError(f"the artifact names a member outside of its folder: {name[:60]}")
    return path


def _member(folder: Path, name: str, entry: dict[str, Any]) -> Member:
    path = _inside(folder, str(entry["file"]))
    member = Member.load(path, name)
    if member.sha256 != entry["sha256"]:
        raise ArtifactError(f"{path} is another file than the artifact's (sha256 differs)", hint="convert again")
    return member


def _require_needed(artifact: Artifact) -> None:
    """Refuses a manifest without what the artifact is run by."""
    facts = artifact.facts
    for task, name in (("scenes", artifact.wiring.scene_head), ("events", artifact.wiring.classifiers)):
        if name:
            _require_count(facts, task, artifact.members[name])
    longest_s = artifact.wiring.event_ring * artifact.wiring.stream.stride * facts.features.hop_s
    if longest_s and facts.decoding.longest_median_s(facts.labels.events) > longest_s:
        raise ArtifactError("the median filter of the artifact is longer than what its decoder reads", hint=_AGAIN)


def _require_count(facts: Facts, task: str, member: Member) -> None:
    """Refuses a list of classes that is not as long as the network's output."""
    names, shape = facts.labels.by_task()[task], member.outputs[0].shape
    if shape[-1:] != (len(names),):
        raise ArtifactError(f"the manifest names {len(names)} {task}, the network's output is {shape}", hint=_AGAIN)


def _from_set(manifest: Any, folder: Path) -> dict[str, Any]:
    """The manifest of a streaming artifact, of the `set.json` of an earlier version.

    Raises:
        ArtifactError: another schema, or a set that took windows: these are not made or run any more.
        LookupError, TypeError, ValueError, AttributeError, ArithmeticError: keys are missing or of the wrong kind.
    """
    if manifest["schema"] != _SET_SCHEMA:
        raise ArtifactError(f"{folder / _SET_MANIFEST} has schema {str(manifest['schema'])[:60]}, not {_SET_SCHEMA}")
    wiring = dict(manifest["wiring"])
    if "stream" not in wiring:
        part, kind = (str(manifest.get(key))[:20] for key in ("part", "format"))
        raise ArtifactError(
            f"{folder} takes windows, which is not supported any more: a streaming artifact does its job",
            hint=f"keras_mtl convert RUN --part {part} --format {kind}, of the run that it was made of",
        )
    windows, clip_frames = wiring.pop("windows"), wiring.pop("clip_frames")
    two_ways = any(layer["backward"] is not None for layer in wiring["recurrent"])
    wiring["scene_ring"] = windows["frames"] // windows["stride"] if wiring["scene_head"] else 0
    wiring["event_ring"] = clip_frames // windows["stride"] if two_ways else 0
    wiring["schedule"] = "stream"
    tasks = [task for task, member in (("scenes", "scene_head"), ("events", "classifiers")) if wiring[member]]
    part = tasks[0] if len(tasks) == 1 else "joint"
    manifest = {**manifest, "part": part, "schedule": "stream", "wiring": wiring}
    if (smoothing := manifest.pop("smoothing", None)) is not None:
        scenes = {"scene_weight": smoothing["weight"], "scene_hold_calls": smoothing["hold"]}
        manifest["decoding"] = {**manifest["decoding"], **scenes}
    return manifest
