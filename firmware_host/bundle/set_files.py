"""The files of a set's bundle."""

from __future__ import annotations

from functools import partial

from keras_mtl.errors import VerdictFailed
from keras_mtl.features import LogMelSettings
from keras_mtl.firmware_host.bundle import manifest, readme
from keras_mtl.firmware_host.bundle.chain import Chain, set_chain
from keras_mtl.firmware_host.bundle.decoded import with_events, with_scenes
from keras_mtl.firmware_host.bundle.member_files import (
    MODELS,
    around,
    bundle_files,
    member_networks,
    set_tables,
)
from keras_mtl.firmware_host.bundle.networks import networks_header, networks_source
from keras_mtl.firmware_host.bundle.selftest import set_selftest
from keras_mtl.firmware_host.bundle.set_driver import driver_buffers, driver_texts, require_driver
from keras_mtl.firmware_host.bundle.set_settings import event_settings, set_settings_header
from keras_mtl.firmware_host.report import Report
from keras_mtl.tflite.artifact_set import ArtifactSet

_SOURCES = ("log_mel", "cells", "event_decoder", "windows")
_SMOOTHER = "scene_smoother"


def set_files(name: str, artifacts: ArtifactSet, report: Report, timeout_s: float) -> dict[str, bytes]:
    """Content of all files of a set's bundle, by path.

    Args:
        name: the set's identifier.
        artifacts: the set, which passed.
        report: the emulator's, with a run of TensorFlow Lite Micro.
        timeout_s: for the run of TensorFlow Lite Micro on the golden clip.

    Raises:
        EngineError: TensorFlow Lite Micro does not run a member any more.
        VerdictFailed: the driver does not run such a set, or its arenas with their reserves don't fit the target's RAM.
        ArtifactError: features that CMSIS-DSP has no FFT for.
    """
    require_driver(artifacts)
    settings = LogMelSettings.from_dict(artifacts.manifest["features"])
    tables = set_tables(name, settings)
    chain, arenas = set_chain(artifacts, settings, timeout_s)
    networks = member_networks(name, artifacts, arenas)
    facts = manifest.about(name, artifacts.manifest, report) | {
        "arena_bytes": sum(network.arena_setting_bytes for network in networks),
        "arenas": {m: network.arena_setting_bytes for m, network in zip(artifacts.members, networks, strict=True)},
        "buffers": driver_buffers(artifacts),
    }
    arena, buffers = facts["arena_bytes"], sum(facts["buffers"].values())
    # The emulator keeps one reserve; here each arena has its own, for any member may need it.
    _require_room(report, arena + buffers, f"arenas {arena:,} with a reserve for each, buffers {buffers:,}")
    chain = _decoded(artifacts, chain)
    texts = {
        "set_networks.h": networks_header(name, "set_networks.h", networks),
        "set_networks.cc": networks_source(name, "set_networks.h", networks, MODELS),
        "set_settings.h": set_settings_header(name, artifacts),
        **driver_texts(name, artifacts, buffers),
        **set_selftest(name, artifacts, chain),
        **around(tables, [*_SOURCES, *([_SMOOTHER] if artifacts.wiring.scene_head else [])]),
    }
    text = partial(readme.set_readme, name, artifacts, report, facts)
    return bundle_files(artifacts, report, networks, chain, texts, facts, text)


def _require_room(report: Report, needed_bytes: int, told: str) -> None:
    """Refuses a set that does not fit the RAM which a board's application leaves; a budget has none.

    Args:
        report: the emulator's.
        needed_bytes: arenas and buffers.
        told: what they are.

    Raises:
        VerdictFailed: it does not fit.
    """
    target = report.target
    if target.get("arena_ram_bytes") is None:
        return
    limit = target["arena_ram_bytes"] - target.get("application_ram_bytes", 0)
    if needed_bytes > limit:
        raise VerdictFailed(
            f"the set needs {needed_bytes:,} bytes of RAM on {target['name']}, of {limit:,} that the application "
            f"leaves: {told}",
            hint="no bundle was written",
        )


def _decoded(artifacts: ArtifactSet, chain: Chain) -> Chain:
    wiring = artifacts.wiring
    classifiers = artifacts.members[wiring.classifiers].manifest["outputs"][0]
    chain = with_events(chain, event_settings(artifacts), classifiers["dtype"])
    if wiring.scene_head:
        port = artifacts.members[wiring.scene_head].manifest["outputs"][0]
        chain = with_scenes(chain, chain.results["network_scenes"], port)
    return chain
