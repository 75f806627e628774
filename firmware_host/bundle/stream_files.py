"""The files of a streaming set's bundle."""

from __future__ import annotations

from typing import Any

from keras_mtl.errors import ArtifactError, VerdictFailed
from keras_mtl.features import LogMelSettings
from keras_mtl.files import to_json
from keras_mtl.firmware_host.arena_report import arena_of_set
from keras_mtl.firmware_host.bundle import manifest, readme, sbom
from keras_mtl.firmware_host.bundle.audio_source import audio_binaries, audio_texts
from keras_mtl.firmware_host.bundle.build_files import cmake_text
from keras_mtl.firmware_host.bundle.c_source import identifier
from keras_mtl.firmware_host.bundle.listener_source import listener_buffers, listener_texts, require_listener
from keras_mtl.firmware_host.bundle.model_files import front_end_tables
from keras_mtl.firmware_host.bundle.networks import Network, network_texts, networks_header, networks_source
from keras_mtl.firmware_host.bundle.settings import SMALL_RESERVE_BYTES, arena_reserve_bytes, arena_setting_bytes
from keras_mtl.firmware_host.bundle.static_files import ALWAYS, FOLDER, static_texts
from keras_mtl.firmware_host.bundle.stream_chain import stream_chain
from keras_mtl.firmware_host.bundle.stream_selftest import stream_selftest
from keras_mtl.firmware_host.cost import op_rows
from keras_mtl.firmware_host.report import Report
from keras_mtl.firmware_host.stream_set_checks import memory
from keras_mtl.tflite.artifact_set import ArtifactSet

#: What a listener has beside its buffers, and what aligns them, at the most: on a Cortex-M it was less than 400 bytes.
LISTENER_STATE_BYTES = 400
_MODELS = "models/"
_NETWORKS = "listener_networks"
_SOURCES = ("log_mel", "cells", "embeddings", "event_decoder", "event_stream", "listener", "scene_smoother")


def stream_files(name: str, artifacts: ArtifactSet, report: Report, timeout_s: float) -> dict[str, bytes]:
    """Content of all files of a streaming set's bundle, by path.

    Args:
        name: the set's identifier.
        artifacts: the set, which passed.
        report: the emulator's, with a run of TensorFlow Lite Micro.
        timeout_s: for the run of TensorFlow Lite Micro on the golden recording.

    Raises:
        EngineError: TensorFlow Lite Micro does not run a member any more.
        VerdictFailed: the listener does not run such a set, or it does not fit the target's RAM.
        ArtifactError: features that CMSIS-DSP has no FFT for.
    """
    require_listener(artifacts)
    settings = LogMelSettings.from_dict(artifacts.manifest["features"])
    tables = front_end_tables(name, settings)
    if not tables:
        raise ArtifactError(
            f"no bundle of this set: CMSIS-DSP has no FFT of {settings.fft} points",
            hint="train with features.fft = 2048",
        )
    chain, arenas = stream_chain(artifacts, settings, timeout_s)
    networks = [
        Network(f"{name}_{identifier(member)}", identifier(member), artifact, op_rows(artifact.content), arenas[member])
        for member, artifact in artifacts.members.items()
    ]
    facts = manifest.about(name, artifacts.manifest, report) | {
        "arena_bytes": shared_arena_bytes(artifacts, networks),
        "arenas": {member: network.arena_bytes for member, network in zip(artifacts.members, networks, strict=True)},
        "buffers": listener_buffers(artifacts),
    }
    _require_room(facts, report)
    texts = {
        **{f"{_MODELS}{file}": text for network in networks for file, text in network_texts(network).items()},
        f"{_NETWORKS}.h": networks_header(name, f"{_NETWORKS}.h", networks, facts["arena_bytes"]),
        f"{_NETWORKS}.cc": networks_source(name, f"{_NETWORKS}.h", networks, _MODELS, True),
        **listener_texts(name, artifacts),
        **audio_texts(name, chain),
        **stream_selftest(name, artifacts, chain),
        **static_texts([*ALWAYS, *(f"kmtl_{source}.{end}" for source in _SOURCES for end in ("h", "c"))]),
        **{f"{FOLDER}/{file}": text for file, text in tables.items()},
        "report.json": report.to_json(),
        "set.json": to_json(artifacts.manifest),
    }
    files = {file: text.encode("utf-8") for file, text in texts.items()} | audio_binaries(chain)
    files |= {f"{_MODELS}{network.role}.tflite": network.artifact.content for network in networks}
    files["CMakeLists.txt"] = cmake_text(name, files, True).encode("utf-8")
    files["README.md"] = readme.stream_readme(name, artifacts, report, facts, [*files, sbom.SBOM]).encode("utf-8")
    models = [sbom.ModelFile(network.name, network.artifact.content, artifacts.manifest) for network in networks]
    files[sbom.SBOM] = sbom.sbom_json(facts, models, files, True)
    return files | {manifest.MANIFEST: manifest.manifest_json(facts, files)}


def shared_arena_bytes(artifacts: ArtifactSet, networks: list[Network]) -> int:
    """Bytes of the one arena of all members: what each keeps, the most that one computes in, and a reserve.

    Scratch buffers of a device's kernels lie in what is shared, so that the largest reserve is enough for them; of the
    other members only the records of their operators may be larger.

    Args:
        artifacts: a streaming set.
        networks: its members, each with the arena that it used by itself.
    """
    contents = {member: artifact.content for member, artifact in artifacts.members.items()}
    used = {member: network.arena_bytes for member, network in zip(artifacts.members, networks, strict=True)}
    shared = memory(arena_of_set(contents, used), {})["shared_bytes"]
    reserve = max(arena_reserve_bytes(network.ops) for network in networks)
    return arena_setting_bytes(shared, reserve + (len(networks) - 1) * SMALL_RESERVE_BYTES)


def _require_room(facts: dict[str, Any], report: Report) -> None:
    """The emulator knows nothing of the front end's memory, and reckons with arenas side by side."""
    target = report.target
    if target.get("arena_ram_bytes") is None:
        return
    limit = target["arena_ram_bytes"] - target.get("application_ram_bytes", 0)
    arena, buffers = facts["arena_bytes"], sum(facts["buffers"].values())
    needed = arena + buffers + LISTENER_STATE_BYTES
    if needed > limit:
        raise VerdictFailed(
            f"the set needs {needed:,} bytes of RAM on {target['name']}, of {limit:,} that the application leaves: "
            f"arena {arena:,} with its reserve, listener {buffers + LISTENER_STATE_BYTES:,} with the front end",
            hint="no bundle was written",
        )
