"""Writes the firmware folder of artifacts that passed the emulator; whole or not at all, the same bytes each time."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from keras_mtl.errors import ArtifactError, KerasMtlError, VerdictFailed
from keras_mtl.files import new_folder, to_json
from keras_mtl.firmware_host.bundle import golden, readme, resolver, settings
from keras_mtl.firmware_host.bundle.c_source import extern_c, header, identifier, opening, values
from keras_mtl.firmware_host.engines.exchange import package_version
from keras_mtl.firmware_host.report import Report
from keras_mtl.tflite.artifact import Artifact

SCHEMA = "keras_mtl.bundle/1"


@dataclass(frozen=True)
class Bundle:
    """A firmware folder.

    Attributes:
        path: the folder.
        files: its files, relative to it, sorted.
    """

    path: Path
    files: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """As plain values, for JSON."""
        return {"schema": SCHEMA, "path": str(self.path), "files": list(self.files)}


def write_bundle(checked: Sequence[tuple[Artifact, Report]], out: str | Path, timeout_s: float = 120.0) -> Bundle:
    """Writes one folder for a firmware engineer. Several artifacts get a sub-folder each.

    Args:
        checked: artifacts, each with the emulator's report on it.
        out: the folder; must not be there, or be empty.
        timeout_s: for each run of TensorFlow Lite Micro on the golden inputs.

    Raises:
        VerdictFailed: a report that failed, or one without a run of TensorFlow Lite Micro.
        ArtifactError: a report on another artifact, or two artifacts of one part and format.
        KerasMtlError: the folder is there and holds something.
    """
    names = [model_name(artifact.manifest) for artifact, _ in checked]
    for (artifact, report), name in zip(checked, names, strict=True):
        _require_passed(artifact, report, name)
    if len(set(names)) < len(names):
        raise ArtifactError(f"two artifacts have the same part and format: {', '.join(names)}")
    content: dict[str, bytes] = {}
    for (artifact, report), name in zip(checked, names, strict=True):
        folder = f"{name}/" if len(checked) > 1 else ""
        content |= {f"{folder}{file}": data for file, data in _model_files(name, artifact, report, timeout_s).items()}
    try:
        with new_folder(out) as temporary:
            for file, data in content.items():
                (temporary / file).parent.mkdir(parents=True, exist_ok=True)
                (temporary / file).write_bytes(data)
    except FileExistsError:
        raise KerasMtlError(f"{out} is there and is not an empty folder", hint="give another --out") from None
    except OSError as error:
        raise KerasMtlError(f"can't write {out}: {error.strerror}") from None
    return Bundle(Path(out), tuple(sorted(content)))


def model_name(manifest: dict[str, Any]) -> str:
    """The identifier of a model in C: its part and format, as "scenes_int8"."""
    return identifier(f"{manifest.get('part') or 'model'} {manifest.get('format') or manifest['inputs'][0]['dtype']}")


def _require_passed(artifact: Artifact, report: Report, name: str) -> None:
    digest = hashlib.sha256(artifact.content).hexdigest()
    if report.artifact.get("sha256") != digest:
        raise ArtifactError(f"the report is not on this artifact ({name})", hint="emulate it again")
    if not report.passed:
        which = report.artifact.get("path") or name
        raise VerdictFailed(f"{which} fails {report.target['name']}: {report.failures()}", hint="no bundle was written")
    tflm = next((engine for engine in report.engines if engine.engine == "tflm"), None)
    if tflm is None or tflm.arena_bytes is None:
        reason = tflm.reason if tflm else "the report has no run of it"
        raise VerdictFailed(f"{name} does not run in TFLM, so there is no firmware for it: {reason}")


def _model_files(name: str, artifact: Artifact, report: Report, timeout_s: float) -> dict[str, bytes]:
    arena_bytes = next(e.arena_bytes for e in report.engines if e.engine == "tflm" and e.arena_bytes is not None)
    vectors = golden.golden_vectors(artifact, timeout_s)
    declared = f"extern const unsigned char {name}_model[];\nextern const unsigned int {name}_model_bytes;"
    texts = {
        "model_data.h": header(name, "model_data.h", f"The model {name} as an array.", extern_c(declared)),
        "model_data.cc": (
            opening(f"The model {name}: the .tflite file, byte for byte, aligned for TensorFlow Lite Micro.")
            + '#include "model_data.h"\n\n'
            + f"alignas(16) const unsigned char {name}_model[] = {{\n{values(artifact.content)}\n}};\n"
            + f"const unsigned int {name}_model_bytes = {len(artifact.content)}u;\n"
        ),
        "model_resolver.h": resolver.resolver_header(name, report.ops),
        "model_settings.h": settings.settings_header(name, artifact.manifest, arena_bytes),
        "golden_vectors.h": golden.vectors_header(name, vectors),
        "golden_vectors.c": golden.vectors_source(name, vectors),
        "report.json": _without_path(report).to_json(),
        "README.md": readme.readme(name, artifact.manifest, report, vectors),
    }
    files = {file: text.encode("utf-8") for file, text in texts.items()} | vectors.binaries()
    files["model.tflite"] = artifact.content
    manifest = {
        "schema": SCHEMA,
        "name": name,
        "keras_mtl": package_version("keras_mtl"),
        "target": report.target["name"],
        "engines": {engine.engine: engine.version for engine in report.engines if engine.ran},
        "arena_bytes": settings.arena_setting_bytes(arena_bytes),
        "artifact": artifact.manifest,
        "files": [
            {"path": file, "bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
            for file, data in sorted(files.items())
        ],
    }
    return files | {"manifest.json": to_json(manifest).encode("utf-8")}


def _without_path(report: Report) -> Report:
    """The report without the place where the artifact lay: a bundle is the same wherever it was made."""
    about = {key: value for key, value in report.artifact.items() if key != "path"}
    return replace(report, artifact=about)
