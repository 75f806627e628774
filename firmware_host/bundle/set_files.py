"""The files of a set's bundle."""

from __future__ import annotations

from keras_mtl.errors import ArtifactError, VerdictFailed
from keras_mtl.features import LogMelSettings
from keras_mtl.files import to_json
from keras_mtl.firmware_host.bundle import manifest, readme, sbom
from keras_mtl.firmware_host.bundle.audio_source import audio_binaries, audio_texts
from keras_mtl.firmware_host.bundle.build_files import cmake_text
from keras_mtl.firmware_host.bundle.c_source import identifier
from keras_mtl.firmware_host.bundle.chain import Chain, set_chain
from keras_mtl.firmware_host.bundle.decoded import with_events, with_scenes
from keras_mtl.firmware_host.bundle.model_files import front_end_tables
from keras_mtl.firmware_host.bundle.networks import Network, network_texts, networks_header, networks_source
from keras_mtl.firmware_host.bundle.selftest import set_selftest
from keras_mtl.firmware_host.bundle.set_driver import driver_buffers, driver_texts, require_driver
from keras_mtl.firmware_host.bundle.set_settings import event_settings, set_settings_header
from keras_mtl.firmware_host.bundle.static_files import ALWAYS, FOLDER, static_texts
from keras_mtl.firmware_host.cost import op_rows
from keras_mtl.firmware_host.report import Report
from keras_mtl.tflite.artifact_set import ArtifactSet

#: Where the networks' own files lie.
_MODELS = "models/"
_SOURCES = ("kmtl_log_mel", "kmtl_cells", "kmtl_event_decoder", "kmtl_windows")
_SMOOTHER = "kmtl_scene_smoother"


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
    settings, wiring = LogMelSettings.from_dict(artifacts.manifest["features"]), artifacts.wiring
    tables = front_end_tables(name, settings)
    if not tables:
        raise ArtifactError(
            f"no bundle of this set: CMSIS-DSP has no FFT of {settings.fft} points",
            hint="train with features.fft = 2048",
        )
    chain, arenas = set_chain(artifacts, settings, timeout_s)
    buffers = driver_buffers(artifacts)
    networks = [
        Network(f"{name}_{identifier(member)}", identifier(member), artifact, op_rows(artifact.content), arenas[member])
        for member, artifact in artifacts.members.items()
    ]
    members = zip(artifacts.members, networks, strict=True)
    arena_settings = {member: network.arena_setting_bytes for member, network in members}
    _require_room(arena_settings, buffers, report)
    chain = _decoded(artifacts, chain)
    texts = {
        **{f"{_MODELS}{file}": text for network in networks for file, text in network_texts(network).items()},
        "set_networks.h": networks_header(name, "set_networks.h", networks),
        "set_networks.cc": networks_source(name, "set_networks.h", networks, _MODELS),
        "set_settings.h": set_settings_header(name, artifacts),
        **driver_texts(name, artifacts, sum(buffers.values())),
        **audio_texts(name, chain),
        **set_selftest(name, artifacts, chain),
        **static_texts([*ALWAYS, *_static(bool(wiring.scene_head))]),
        **{f"{FOLDER}/{file}": text for file, text in tables.items()},
        "report.json": report.to_json(),
        "set.json": to_json(artifacts.manifest),
    }
    files = {file: text.encode("utf-8") for file, text in texts.items()} | audio_binaries(chain)
    files |= {f"{_MODELS}{network.role}.tflite": network.artifact.content for network in networks}
    files["CMakeLists.txt"] = cmake_text(name, files, True).encode("utf-8")
    facts = manifest.about(name, artifacts.manifest, report)
    facts |= {"arena_bytes": sum(arena_settings.values()), "arenas": arena_settings, "buffers": buffers}
    files["README.md"] = readme.set_readme(name, artifacts, report, facts, [*files, sbom.SBOM]).encode("utf-8")
    models = [sbom.ModelFile(network.name, network.artifact.content, artifacts.manifest) for network in networks]
    files[sbom.SBOM] = sbom.sbom_json(facts, models, files, True)
    return files | {manifest.MANIFEST: manifest.manifest_json(facts, files)}


def _static(scenes: bool) -> list[str]:
    return [f"{source}.{end}" for source in (*_SOURCES, *((_SMOOTHER,) if scenes else ())) for end in ("h", "c")]


def _decoded(artifacts: ArtifactSet, chain: Chain) -> Chain:
    wiring = artifacts.wiring
    classifiers = artifacts.members[wiring.classifiers].manifest["outputs"][0]
    chain = with_events(chain, event_settings(artifacts), classifiers["dtype"])
    if wiring.scene_head:
        port = artifacts.members[wiring.scene_head].manifest["outputs"][0]
        chain = with_scenes(chain, chain.results["network_scenes"], port)
    return chain


def _require_room(arenas: dict[str, int], buffers: dict[str, int], report: Report) -> None:
    """The emulator keeps one reserve; here each arena has its own, for any member may need it."""
    target = report.target
    if target.get("arena_ram_bytes") is None:
        return
    limit = target["arena_ram_bytes"] - target.get("application_ram_bytes", 0)
    needed = sum(arenas.values()) + sum(buffers.values())
    if needed > limit:
        raise VerdictFailed(
            f"the set needs {needed:,} bytes of RAM on {target['name']}, of {limit:,} that the application leaves: "
            f"arenas {sum(arenas.values()):,} with a reserve for each, buffers {sum(buffers.values()):,}",
            hint="no bundle was written",
        )
