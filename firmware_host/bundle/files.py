"""All files of a bundle. What an artifact of one file and a streaming one have apart is data here: `_Parts`."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from keras_mtl.core import ArtifactError, LogMelSettings, VerdictFailed, to_json
from keras_mtl.firmware_host.arena import arena_of, arena_of_members
from keras_mtl.firmware_host.bundle.golden import (
    Chain,
    GoldenVectors,
    features_of,
    file_chain,
    golden_vectors,
    has_scenes,
    stream_chain,
)
from keras_mtl.firmware_host.bundle.release import manifest, sbom
from keras_mtl.firmware_host.bundle.text import (
    ALWAYS,
    FOLDER,
    Network,
    Stage,
    audio_binaries,
    audio_texts,
    front_end_stages,
    identifier,
    listener_stages,
    listener_texts,
    log_mel_tables,
    network_stages,
    network_texts,
    networks_header,
    networks_source,
    readme,
    require_listener,
    restricted,
    selftest_texts,
    static_texts,
    vectors_texts,
)
from keras_mtl.firmware_host.components import component_files, links_cmsis_dsp
from keras_mtl.firmware_host.device import listener_buffers
from keras_mtl.firmware_host.emulate import stream_arena_bytes as arena_bytes
from keras_mtl.firmware_host.emulate import stream_memory
from keras_mtl.firmware_host.report import Report
from keras_mtl.firmware_host.targets import Target
from keras_mtl.tflite.artifact import MANIFEST, Artifact
from keras_mtl.tflite.flatbuffer import aligned

_LISTENER_SOURCES = ("log_mel", "cells", "embeddings", "event_decoder", "event_stream", "listener", "scene_smoother")


@dataclass(frozen=True)
class _Parts:
    """What a bundle is put together from.

    Attributes:
        role: what the header of the networks, and of a lone network its files, begin with.
        folder: where the networks' own files lie, with a slash at its end; "" is beside the others.
        networks: the members.
        shared_arena: sizes of the one arena of all networks; None where there is one, whose settings have them.
        chain: the golden chain; None for a network without features of ours.
        stages: of the self-test behind the front end.
        sources: static C, by its names between "kmtl_" and the ending.
        tables: generated C of the front end.
        texts: what else there is.
        facts: of the manifest, beside those that all bundles have: `arena_bytes`, and of several members `arenas` and
            `buffers`, bytes by name.
        vectors: golden vectors of a lone network.
    """

    role: str
    folder: str
    networks: list[Network]
    shared_arena: tuple[int, int] | None
    chain: Chain | None
    stages: list[Stage]
    sources: Sequence[str]
    tables: dict[str, str]
    texts: dict[str, str]
    facts: dict[str, Any]
    vectors: GoldenVectors | None = None


def bundle_files(
    name: str, artifact: Artifact, report: Report, timeout_s: float, component: str = "", model_version: int = 1
) -> dict[str, bytes]:
    """Content of all files of a bundle, by path.

    `report`: the emulator's, with a run of TensorFlow Lite Micro. `component`: one of `components.KINDS` to lay the
    bundle out for, with this version of the model; "" for a bundle as it is.

    Raises:
        EngineError: TensorFlow Lite Micro does not run a member with the operators of its resolver.
        VerdictFailed: an operator that no resolver can have, a streaming artifact that the C listener does not run, or
            one that does not fit the target's RAM.
        ArtifactError: a stream's features that CMSIS-DSP has no FFT for.
    """
    parts = (_of_stream if artifact.streams else _of_file)(name, artifact, report, timeout_s)
    file, chain, networks, shared = f"{parts.role}_networks", parts.chain, parts.networks, parts.shared_arena
    stages = [*(front_end_stages(name, artifact.network.inputs[0]) if chain else ()), *parts.stages]
    named = [f"kmtl_{source}.{end}" for source in parts.sources for end in ("h", "c")]
    texts = {
        **{f"{parts.folder}{path}": text for network in networks for path, text in network_texts(network).items()},
        f"{file}.h": networks_header(name, f"{file}.h", networks, shared),
        f"{file}.cc": networks_source(name, f"{file}.h", networks, parts.folder, shared is not None),
        **(vectors_texts(name, parts.vectors) if parts.vectors else {}),
        **(audio_texts(name, chain) if chain else {}),
        **selftest_texts(name, parts.role, stages),
        **static_texts([*ALWAYS, *named]),
        **{f"{FOLDER}/{path}": text for path, text in parts.tables.items()},
        **parts.texts,
        "report.json": report.to_json(),
    }
    files = {path: text.encode("utf-8") for path, text in texts.items()}
    files |= parts.vectors.binaries() if parts.vectors else {}
    files |= audio_binaries(chain) if chain else {}
    files |= {f"{parts.folder}{network.role}.tflite": network.member.content for network in networks}
    files["CMakeLists.txt"] = readme.cmake_text(name, files, chain is not None).encode("utf-8")
    listed = [*files, sbom.SBOM]
    text = readme.readme(name, artifact, report, networks, parts.vectors, parts.facts, [s.name for s in stages], listed)
    files["README.md"] = text.encode("utf-8")
    facts = manifest.about(name, artifact.manifest, report) | parts.facts
    models = {network.name: network.member.content for network in networks}
    if component:
        files = component_files(component, name, files, [*models.values()], model_version)
        facts |= {"component": component, "model_version": model_version}
    cmsis_dsp = chain is not None and (not component or links_cmsis_dsp(component))
    files[sbom.SBOM] = sbom.sbom_json(facts, models, files, cmsis_dsp)
    return files | {manifest.MANIFEST: manifest.manifest_json(facts, files)}


def _of_file(name: str, artifact: Artifact, report: Report, timeout_s: float) -> _Parts:
    member = artifact.network
    measured = next(e.arena_bytes for e in report.engines if e.engine == "tflm" and e.arena_bytes is not None)
    sizes = aligned(measured), aligned(measured)  # on 64 bit: for a file that can't be planned
    with contextlib.suppress(ArtifactError):
        sizes = _sizes(arena_of(member.model, measured, Target(**report.target)))
    network = Network(name, "model", member, measured, sizes)
    alone, settings = restricted(artifact), features_of(artifact)
    vectors = golden_vectors(alone, timeout_s)
    tables = _tables(name, settings) if settings else {}
    chain = file_chain(alone, settings, vectors, timeout_s) if settings and tables else None
    sources = [*(["log_mel"] if chain else []), *(["scene_smoother"] if has_scenes(member) else [])]
    stages = network_stages(name, member, vectors, chain)
    facts = {"arena_bytes": network.sizes[0]}
    return _Parts("model", "", [network], None, chain, stages, sources, tables, {}, facts, vectors)


def _of_stream(name: str, artifact: Artifact, report: Report, timeout_s: float) -> _Parts:
    require_listener(artifact)
    settings = artifact.facts.features
    tables = _tables(name, settings)
    if not tables:
        raise ArtifactError(
            f"no bundle of this artifact: CMSIS-DSP has no FFT of {settings.fft} points",
            hint="train with features.fft = 2048",
        )
    chain = stream_chain(restricted(artifact), timeout_s)
    target, networks = Target(**report.target), []
    arena = arena_of_members(artifact.members, chain.arena_bytes, target)
    for m, member in artifact.members.items():
        role, sizes = identifier(m), _sizes(arena["members"][m])
        networks.append(Network(f"{name}_{role}", role, member, chain.arena_bytes[m], sizes))
    ram = stream_memory(artifact, arena)
    room = arena_bytes(arena, ram, target)
    if room is not None and not room.ok:
        raise VerdictFailed(
            f"the artifact does not fit {report.target['name']}: {room.why}", hint="no bundle was written"
        )
    shared = _sizes(arena)
    facts = {"arena_bytes": shared[0], "arenas": chain.arena_bytes, "buffers": listener_buffers(artifact)}
    texts, stages = listener_texts(name, artifact), listener_stages(name, artifact)
    texts[MANIFEST] = to_json(artifact.manifest)
    return _Parts("listener", "models/", networks, shared, chain, stages, _LISTENER_SOURCES, tables, texts, facts)


def _sizes(arena: Mapping[str, Any]) -> tuple[int, int]:
    """What to give an arena on the device and on a PC."""
    return arena["device"]["arena_bytes"], arena["device"]["pc_arena_bytes"]


def _tables(name: str, settings: LogMelSettings) -> dict[str, str]:
    """Generated files of the front end; none where CMSIS-DSP has no such FFT."""
    with contextlib.suppress(ArtifactError):
        return log_mel_tables(settings, name, f"{name}_log_mel")
    return {}
