"""The files of a streaming set's bundle."""

from __future__ import annotations

from functools import partial

from keras_mtl.features import LogMelSettings
from keras_mtl.firmware_host.arena_report import arena_of_set
from keras_mtl.firmware_host.bundle import manifest, readme
from keras_mtl.firmware_host.bundle.listener_source import listener_buffers, listener_texts, require_listener
from keras_mtl.firmware_host.bundle.member_files import (
    MODELS,
    around,
    bundle_files,
    member_networks,
    require_room,
    set_tables,
)
from keras_mtl.firmware_host.bundle.networks import Network, networks_header, networks_source
from keras_mtl.firmware_host.bundle.settings import SMALL_RESERVE_BYTES, arena_reserve_bytes, arena_setting_bytes
from keras_mtl.firmware_host.bundle.stream_chain import stream_chain
from keras_mtl.firmware_host.bundle.stream_selftest import stream_selftest
from keras_mtl.firmware_host.report import Report
from keras_mtl.firmware_host.stream_set_checks import memory
from keras_mtl.tflite.artifact_set import ArtifactSet

#: What a listener has beside its buffers, and what aligns them, at the most: on a Cortex-M it was less than 400 bytes.
LISTENER_STATE_BYTES = 400
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
    facts = manifest.about(name, artifacts.manifest, report) | {
        "arena_bytes": shared_arena_bytes(artifacts, networks),
        "arenas": {member: network.arena_bytes for member, network in zip(artifacts.members, networks, strict=True)},
        "buffers": listener_buffers(artifacts),
    }
    arena, listener = facts["arena_bytes"], sum(facts["buffers"].values()) + LISTENER_STATE_BYTES
    # The emulator knows nothing of the front end's memory, and reckons with arenas side by side.
    told = f"arena {arena:,} with its reserve, listener {listener:,} with the front end"
    require_room(report, arena + listener, told)
    texts = {
        f"{_NETWORKS}.h": networks_header(name, f"{_NETWORKS}.h", networks, arena),
        f"{_NETWORKS}.cc": networks_source(name, f"{_NETWORKS}.h", networks, MODELS, True),
        **listener_texts(name, artifacts),
        **stream_selftest(name, artifacts, chain),
        **around(tables, _SOURCES),
    }
    text = partial(readme.stream_readme, name, artifacts, report, facts)
    return bundle_files(artifacts, report, networks, chain, texts, facts, text)


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
