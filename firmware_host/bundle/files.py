"""All files of a bundle. What an artifact of one file and a streaming one have apart is data here: `_Parts`."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
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
    TFLM_ONLY,
    Network,
    Stage,
    audio_binaries,
    audio_texts,
    constants_stage,
    front_end_stages,
    listener_stages,
    listener_texts,
    log_mel_tables,
    network_stages,
    network_texts,
    networks_header,
    networks_source,
    plain_readme,
    readme,
    require_listener,
    restricted,
    selftest_texts,
    settings_header,
    static_texts,
    vectors_texts,
)
from keras_mtl.firmware_host.c99 import (
    CNetwork,
    c_networks,
    identifier,
    kernel_texts,
    memory_bytes,
    networks_texts,
)
from keras_mtl.firmware_host.components import component_files
from keras_mtl.firmware_host.device import listener_buffers
from keras_mtl.firmware_host.emulate import stream_arena_bytes as arena_bytes
from keras_mtl.firmware_host.emulate import stream_memory
from keras_mtl.firmware_host.report import Report
from keras_mtl.firmware_host.targets import Target
from keras_mtl.tflite.artifact import MANIFEST, Artifact
from keras_mtl.tflite.flatbuffer import aligned

#: What runs the networks of a bundle: TensorFlow Lite Micro, or nothing, as they are C themselves.
TFLM, C99 = RUNTIMES = ("tflm", "c99")
_FRONT_END_SOURCES = ("log_mel", "log_mel_fixed", "log_mel_float")
_LISTENER_SOURCES = (
    *_FRONT_END_SOURCES, "cells", "embeddings", "event_decoder", "event_stream", "listener", "scene_smoother",
)  # fmt: skip


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
        plain: the networks in C99; none for TensorFlow Lite Micro.
        scratch_bytes: of the front end, where it lies in the memory of these.
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
    plain: list[CNetwork] = field(default_factory=list)
    scratch_bytes: int = 0


def bundle_files(
    name: str,
    artifact: Artifact,
    report: Report,
    timeout_s: float,
    runtime: str = TFLM,
    component: str = "",
    model_version: int = 1,
) -> dict[str, bytes]:
    """Content of all files of a bundle, by path.

    `report`: the emulator's, with a run of TensorFlow Lite Micro. `runtime`: one of `RUNTIMES`. `component`: one of
    `components.KINDS` to lay the bundle out for, with this version of the model; "" for a bundle as it is.

    Raises:
        EngineError: TensorFlow Lite Micro does not run a member with the operators of its resolver; a layer has no C.
        VerdictFailed: an operator that no resolver can have, a streaming artifact that the C listener does not run, or
            one that does not fit the target's RAM.
        ArtifactError: a stream's features that the C front end has no FFT for.
    """
    plain = runtime == C99
    parts = (_of_stream if artifact.streams else _of_file)(name, artifact, report, timeout_s, plain)
    file, chain, networks = f"{parts.role}_networks", parts.chain, parts.networks
    constants = [constants_stage(name, parts.role, [each.checksum for each in parts.plain])] if plain else []
    stages = [*constants, *(front_end_stages(name, artifact.network.inputs[0]) if chain else ()), *parts.stages]
    named = [f"kmtl_{source}.{end}" for source in parts.sources for end in ("h", "c")]
    texts = {
        **(_in_c(name, file, parts) if plain else _on_tflm(name, file, parts)),
        **(vectors_texts(name, parts.vectors) if parts.vectors else {}),
        **(audio_texts(name, chain) if chain else {}),
        **selftest_texts(name, parts.role, stages),
        **static_texts([*ALWAYS, *([] if plain else TFLM_ONLY), *named]),
        **{f"{FOLDER}/{path}": text for path, text in parts.tables.items()},
        **parts.texts,
        "report.json": report.to_json(),
    }
    files = {path: text.encode("utf-8") for path, text in texts.items()}
    files |= parts.vectors.binaries() if parts.vectors else {}
    files |= audio_binaries(chain) if chain else {}
    files |= {f"{parts.folder}{network.role}.tflite": network.member.content for network in networks}
    if plain:
        files["Makefile"] = readme.make_text(name, files).encode("utf-8")
    files["CMakeLists.txt"] = readme.cmake_text(name, files, plain).encode("utf-8")
    listed = [*files, sbom.SBOM]
    of = (name, artifact, report, networks, parts.vectors, parts.facts, [stage.name for stage in stages], listed)
    files["README.md"] = (plain_readme(*of) if plain else readme.readme(*of)).encode("utf-8")
    facts = manifest.about(name, artifact.manifest, report) | {"runtime": runtime} | parts.facts
    models = {network.name: network.member.content for network in networks}
    if component:
        files = component_files(component, name, files, [*models.values()], model_version)
        facts |= {"component": component, "model_version": model_version}
    files[sbom.SBOM] = sbom.sbom_json(facts, models, files)
    return files | {manifest.MANIFEST: manifest.manifest_json(facts, files)}


def _on_tflm(name: str, file: str, parts: _Parts) -> dict[str, str]:
    """The networks for TensorFlow Lite Micro, by paths."""
    folder, networks, shared = parts.folder, parts.networks, parts.shared_arena
    return {
        **{f"{folder}{path}": text for network in networks for path, text in network_texts(network).items()},
        f"{file}.h": networks_header(name, f"{file}.h", networks, shared),
        f"{file}.cc": networks_source(name, f"{file}.h", networks, folder, shared is not None),
    }


def _in_c(name: str, file: str, parts: _Parts) -> dict[str, str]:
    """The networks as C99 with their kernels, by paths."""
    settings = {
        f"{parts.folder}{each.role}_settings.h": settings_header(each.name, each.member, file=f"{each.role}_settings.h")
        for each in parts.networks
    }
    kernels = {f"{FOLDER}/{path}": text for path, text in kernel_texts().items()}
    return settings | kernels | networks_texts(name, file, parts.plain, parts.folder, parts.scratch_bytes)


def _of_file(name: str, artifact: Artifact, report: Report, timeout_s: float, plain: bool) -> _Parts:
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
    sources = [*(_FRONT_END_SOURCES if chain else []), *(["scene_smoother"] if has_scenes(member) else [])]
    stages = network_stages(name, member, vectors, chain)
    in_c = c_networks(name, {network.role: member.model}) if plain else []
    facts = {"memory_bytes": memory_bytes(in_c)} if plain else {"arena_bytes": network.sizes[0]}
    return _Parts("model", "", [network], None, chain, stages, sources, tables, {}, facts, vectors, in_c)


def _of_stream(name: str, artifact: Artifact, report: Report, timeout_s: float, plain: bool) -> _Parts:
    require_listener(artifact)
    settings = artifact.facts.features
    tables = _tables(name, settings)
    if not tables:
        raise ArtifactError(
            f"no bundle of this artifact: the C front end has no FFT of {settings.fft} points",
            hint="train with features.fft = 2048",
        )
    chain = stream_chain(restricted(artifact), timeout_s)
    target, networks = Target(**report.target), []
    arena = arena_of_members(artifact.members, chain.arena_bytes, target)
    for m, member in artifact.members.items():
        role, sizes = identifier(m), _sizes(arena["members"][m])
        networks.append(Network(f"{name}_{role}", role, member, chain.arena_bytes[m], sizes))
    texts, stages = listener_texts(name, artifact, plain), listener_stages(name, artifact, plain)
    texts[MANIFEST] = to_json(artifact.manifest)
    shared, buffers, in_c, scratch = _sizes(arena), listener_buffers(artifact), [], 0
    if plain:
        in_c = c_networks(name, {network.role: network.member.model for network in networks})
        scratch = buffers.pop("scratch")
        facts = {"memory_bytes": memory_bytes(in_c, scratch), "buffers": buffers}
    else:
        ram = stream_memory(artifact, arena, report.artifact.get("memory", {}).get("kept_audio_bytes", 0))
        room = arena_bytes(arena, ram, target)
        if room is not None and not room.ok:
            raise VerdictFailed(
                f"the artifact does not fit {report.target['name']}: {room.why}", hint="no bundle was written"
            )
        facts = {"arena_bytes": shared[0], "arenas": chain.arena_bytes, "buffers": buffers}
    own = ("listener", "models/", networks, shared, chain, stages, _LISTENER_SOURCES, tables, texts, facts)
    return _Parts(*own, plain=in_c, scratch_bytes=scratch)


def _sizes(arena: Mapping[str, Any]) -> tuple[int, int]:
    """What to give an arena on the device and on a PC."""
    return arena["device"]["arena_bytes"], arena["device"]["pc_arena_bytes"]


def _tables(name: str, settings: LogMelSettings) -> dict[str, str]:
    """Generated files of the front end; none where it has no such FFT."""
    with contextlib.suppress(ArtifactError):
        return log_mel_tables(settings, name, f"{name}_log_mel")
    return {}
