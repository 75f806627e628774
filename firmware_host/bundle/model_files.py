"""The files of one model's bundle."""

from __future__ import annotations

import contextlib

from keras_mtl.errors import ArtifactError
from keras_mtl.features import LogMelSettings
from keras_mtl.firmware_host.bundle import golden, manifest, readme, sbom
from keras_mtl.firmware_host.bundle.audio_source import audio_binaries, audio_texts
from keras_mtl.firmware_host.bundle.build_files import cmake_text
from keras_mtl.firmware_host.bundle.chain import Chain, features_of, model_chain
from keras_mtl.firmware_host.bundle.decoded import scene_calls, with_scenes
from keras_mtl.firmware_host.bundle.log_mel_tables import log_mel_tables
from keras_mtl.firmware_host.bundle.networks import Network, network_texts, networks_header, networks_source
from keras_mtl.firmware_host.bundle.selftest import model_selftest
from keras_mtl.firmware_host.bundle.settings import has_scenes
from keras_mtl.firmware_host.bundle.static_files import ALWAYS, FOLDER, static_texts
from keras_mtl.firmware_host.report import Report
from keras_mtl.tflite.artifact import Artifact

_FRONT_END = ("kmtl_log_mel.h", "kmtl_log_mel.c")
_SMOOTHER = ("kmtl_scene_smoother.h", "kmtl_scene_smoother.c")


def model_files(name: str, artifact: Artifact, report: Report, timeout_s: float) -> dict[str, bytes]:
    """Content of all files of a model's bundle, by path.

    Args:
        name: the model's identifier.
        artifact: the model, which passed.
        report: the emulator's, with a run of TensorFlow Lite Micro.
        timeout_s: for each run of TensorFlow Lite Micro on golden inputs.

    Raises:
        EngineError: TensorFlow Lite Micro does not run the file any more.
        VerdictFailed: an operator that no resolver can have.
    """
    arena_bytes = next(e.arena_bytes for e in report.engines if e.engine == "tflm" and e.arena_bytes is not None)
    network = Network(name, "model", artifact, report.ops, arena_bytes)
    vectors = golden.golden_vectors(artifact, timeout_s)
    tables, chain = _front_end(name, artifact, vectors, timeout_s)
    static = [*ALWAYS, *(_FRONT_END if chain else ()), *(_SMOOTHER if has_scenes(artifact.manifest) else ())]
    texts = {
        **network_texts(network),
        "model_networks.h": networks_header(name, "model_networks.h", [network]),
        "model_networks.cc": networks_source(name, "model_networks.h", [network]),
        "golden_vectors.h": golden.vectors_header(name, vectors),
        "golden_vectors.c": golden.vectors_source(name, vectors),
        "report.json": report.to_json(),
        **(audio_texts(name, chain) if chain else {}),
        **model_selftest(name, artifact.manifest, [o[: golden.C_VECTORS] for o in vectors.outputs], chain),
        **static_texts(static),
        **{f"{FOLDER}/{file}": text for file, text in tables.items()},
    }
    files = {file: text.encode("utf-8") for file, text in texts.items()}
    files |= vectors.binaries() | (audio_binaries(chain) if chain else {})
    files["model.tflite"] = artifact.content
    files["CMakeLists.txt"] = cmake_text(name, files, chain is not None).encode("utf-8")
    files["README.md"] = readme.model_readme(network, report, vectors, [*files, sbom.SBOM]).encode("utf-8")
    facts = manifest.about(name, artifact.manifest, report)
    facts["arena_bytes"] = network.arena_setting_bytes
    model = sbom.ModelFile(name, artifact.content, artifact.manifest)
    files[sbom.SBOM] = sbom.sbom_json(facts, [model], files, chain is not None)
    return files | {manifest.MANIFEST: manifest.manifest_json(facts, files)}


def _front_end(
    name: str, artifact: Artifact, vectors: golden.GoldenVectors, timeout_s: float
) -> tuple[dict[str, str], Chain | None]:
    """Tables of the front end and the golden chain; none for a network that takes something else than log-mel."""
    inputs, outputs = artifact.manifest["inputs"], artifact.manifest["outputs"]
    settings = features_of(artifact.manifest, inputs[0]) if len(inputs) == 1 else None
    tables = front_end_tables(name, settings)
    if settings is None or not tables:
        return {}, None
    chain = model_chain(artifact, settings, timeout_s)
    if has_scenes(artifact.manifest):
        first = chain.results["network_output"].ravel()
        chain = with_scenes(chain, scene_calls(first, list(vectors.outputs[0][: golden.C_VECTORS])), outputs[0])
    return tables, chain


def front_end_tables(name: str, settings: LogMelSettings | None) -> dict[str, str]:
    """Generated files of the front end; none where the features are unknown, or CMSIS-DSP has no such FFT."""
    if settings is not None:
        with contextlib.suppress(ArtifactError):
            return log_mel_tables(settings, name, f"{name}_log_mel")
    return {}
