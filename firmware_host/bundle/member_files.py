"""What the bundles of both kinds of set have alike: members as networks, the files around them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from keras_mtl.errors import ArtifactError
from keras_mtl.features import LogMelSettings
from keras_mtl.files import to_json
from keras_mtl.firmware_host.bundle import manifest, sbom
from keras_mtl.firmware_host.bundle.audio_source import audio_binaries, audio_texts
from keras_mtl.firmware_host.bundle.build_files import cmake_text
from keras_mtl.firmware_host.bundle.c_source import identifier
from keras_mtl.firmware_host.bundle.chain import Chain
from keras_mtl.firmware_host.bundle.model_files import front_end_tables
from keras_mtl.firmware_host.bundle.networks import Network, network_texts
from keras_mtl.firmware_host.bundle.static_files import ALWAYS, FOLDER, static_texts
from keras_mtl.firmware_host.cost import op_rows
from keras_mtl.firmware_host.report import Report
from keras_mtl.tflite.artifact_set import ArtifactSet

#: Where the networks' own files lie.
MODELS = "models/"


def set_tables(name: str, settings: LogMelSettings) -> dict[str, str]:
    """Generated files of a set's front end.

    Raises:
        ArtifactError: features that CMSIS-DSP has no FFT for.
    """
    tables = front_end_tables(name, settings)
    if not tables:
        raise ArtifactError(
            f"no bundle of this set: CMSIS-DSP has no FFT of {settings.fft} points",
            hint="train with features.fft = 2048",
        )
    return tables


def member_networks(name: str, artifacts: ArtifactSet, arenas: Mapping[str, int]) -> list[Network]:
    """The members of a set as networks of its bundle, each with the bytes of arena that it used."""
    return [
        Network(f"{name}_{identifier(member)}", identifier(member), artifact, op_rows(artifact.content), arenas[member])
        for member, artifact in artifacts.members.items()
    ]


def bundle_files(
    artifacts: ArtifactSet,
    report: Report,
    networks: list[Network],
    chain: Chain,
    texts: Mapping[str, str],
    facts: dict[str, Any],
    readme: Callable[[Iterable[str]], str],
) -> dict[str, bytes]:
    """All files of a set's bundle, by path.

    Args:
        artifacts: the set.
        report: the emulator's.
        networks: its members.
        chain: the golden chain.
        texts: sources that only this kind of set has, and those of `around`.
        facts: of the manifest.
        readme: the text of README.md, of the paths of the other files.
    """
    name = facts["name"]
    made = {
        **{f"{MODELS}{file}": text for network in networks for file, text in network_texts(network).items()},
        **texts,
        **audio_texts(name, chain),
        "report.json": report.to_json(),
        "set.json": to_json(artifacts.manifest),
    }
    files = {file: text.encode("utf-8") for file, text in made.items()} | audio_binaries(chain)
    files |= {f"{MODELS}{network.role}.tflite": network.artifact.content for network in networks}
    files["CMakeLists.txt"] = cmake_text(name, files, True).encode("utf-8")
    files["README.md"] = readme([*files, sbom.SBOM]).encode("utf-8")
    models = [sbom.ModelFile(network.name, network.artifact.content, artifacts.manifest) for network in networks]
    files[sbom.SBOM] = sbom.sbom_json(facts, models, files, True)
    return files | {manifest.MANIFEST: manifest.manifest_json(facts, files)}


def around(tables: Mapping[str, str], sources: Iterable[str]) -> dict[str, str]:
    """The C around the networks: generated tables, what every bundle has, and these sources with their headers."""
    named = [f"kmtl_{source}.{end}" for source in sources for end in ("h", "c")]
    return static_texts([*ALWAYS, *named]) | {f"{FOLDER}/{file}": text for file, text in tables.items()}
