"""The files of a streaming set's bundle."""

from __future__ import annotations

from functools import partial

from keras_mtl.errors import VerdictFailed
from keras_mtl.features import LogMelSettings
from keras_mtl.firmware_host.arena_report import arena_of_set
from keras_mtl.firmware_host.bundle import manifest, readme
from keras_mtl.firmware_host.bundle.listener_source import listener_texts, require_listener
from keras_mtl.firmware_host.bundle.member_files import (
    MODELS,
    around,
    bundle_files,
    member_networks,
    set_tables,
)
from keras_mtl.firmware_host.bundle.networks import networks_header, networks_source
from keras_mtl.firmware_host.bundle.stream_chain import stream_chain
from keras_mtl.firmware_host.bundle.stream_selftest import stream_selftest
from keras_mtl.firmware_host.listener_memory import listener_buffers
from keras_mtl.firmware_host.report import Report
from keras_mtl.firmware_host.stream_memory import arena_bytes, stream_memory
from keras_mtl.firmware_host.target import Target
from keras_mtl.tflite.artifact_set import ArtifactSet

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
    tables = set_tables(name, settings)
    chain, arenas = stream_chain(artifacts, settings, timeout_s)
    networks = member_networks(name, artifacts, arenas)
    contents = {member: artifact.content for member, artifact in artifacts.members.items()}
    arena = arena_of_set(contents, arenas)
    ram = stream_memory(artifacts, arena)
    room = arena_bytes(arena, ram, Target(**report.target))
    if room is not None and not room.ok:
        raise VerdictFailed(f"the set does not fit {report.target['name']}: {room.why}", hint="no bundle was written")
    facts = manifest.about(name, artifacts.manifest, report) | {
        "arena_bytes": ram["shared_arena_bytes"],
        "arenas": {member: arenas[member] for member in artifacts.members},
        "buffers": listener_buffers(artifacts),
    }
    texts = {
        f"{_NETWORKS}.h": networks_header(name, f"{_NETWORKS}.h", networks, facts["arena_bytes"]),
        f"{_NETWORKS}.cc": networks_source(name, f"{_NETWORKS}.h", networks, MODELS, True),
        **listener_texts(name, artifacts),
        **stream_selftest(name, artifacts, chain),
        **around(tables, _SOURCES),
    }
    text = partial(readme.stream_readme, name, artifacts, report, facts)
    return bundle_files(artifacts, report, networks, chain, texts, facts, text)
