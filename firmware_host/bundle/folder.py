"""Writes the firmware folder of artifacts that passed the emulator; whole or not at all, the same bytes each time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from keras_mtl.core import ArtifactError, KerasMtlError, VerdictFailed, new_folder
from keras_mtl.firmware_host.bundle.files import C99, TFLM, bundle_files
from keras_mtl.firmware_host.bundle.names import bundle_names
from keras_mtl.firmware_host.bundle.release import MANIFEST, SCHEMA, SIGNATURE, manifest_json, sign
from keras_mtl.firmware_host.bundle.text import several_texts
from keras_mtl.firmware_host.engines import package_version
from keras_mtl.firmware_host.report import Report
from keras_mtl.tflite.artifact import Artifact


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


def write_bundle(
    checked: Sequence[tuple[Artifact, Report]],
    out: str | Path,
    timeout_s: float = 120.0,
    private_key: Any = None,
    names: Sequence[str] = (),
    runtime: str = TFLM,
    component: str = "",
    model_version: int = 1,
) -> Bundle:
    """Writes one folder for a firmware engineer. Several artifacts get a sub-folder each, for one firmware.

    Args:
        checked: artifacts, each with the emulator's report on it.
        out: the folder; must not be there, or be empty.
        timeout_s: for each run of TensorFlow Lite Micro on golden data.
        private_key: signs the manifest: what `signature.load_private_key` gives.
        names: identifiers in C, one for each artifact; by default those of `bundle_names`.
        runtime: what runs the networks: "tflm", TensorFlow Lite Micro, or "c99", nothing: they are C themselves.
        component: one of `components.KINDS`: the folder is a drop-in component of that build system; "" for none.
        model_version: of a component, which firmware of a higher version refuses over the air.

    Raises:
        EngineRefused: a layer that there is no C99 for.
        VerdictFailed: a report that failed, or one without a run of TensorFlow Lite Micro.
        ArtifactError: a report on another artifact, names that are none in C or that clash, or several artifacts as
            one component.
        KerasMtlError: the folder is there and holds something, is a link, or can't be written.
    """
    places = [(artifact, str(report.artifact.get("path") or "")) for artifact, report in checked]
    names = bundle_names(places, names)
    if component and len(checked) > 1:
        raise ArtifactError(f"a component holds one artifact, not {len(checked)}", hint="write one for each")
    for (artifact, report), name in zip(checked, names, strict=True):
        _require_passed(artifact, report, name)
    require_free(out)
    content: dict[str, bytes] = {}
    for (artifact, report), name in zip(checked, names, strict=True):
        folder = f"{name}/" if len(checked) > 1 else ""
        made = bundle_files(name, artifact, _without_path(report), timeout_s, runtime, component, model_version)
        content |= {f"{folder}{file}": data for file, data in made.items()}
    if len(checked) > 1:
        headers = {name: _networks_header(name, content) for name in names}
        content |= {file: text.encode("utf-8") for file, text in several_texts(headers, runtime == C99).items()}
        content[MANIFEST] = _manifest_of_all(names, content)
    if private_key is not None:
        content[SIGNATURE] = sign(content[MANIFEST], private_key)
    _write(content, Path(out))
    return Bundle(Path(out), tuple(sorted(content)))


def require_free(out: str | Path) -> None:
    """Refuses a folder that a bundle can't be written to, before any work is done for it.

    Raises:
        KerasMtlError: it holds something, is a link or a file.
    """
    out = Path(out)
    try:
        if out.is_symlink():
            raise KerasMtlError(f"{out} is a link: a bundle is a folder of its own", hint="give another --out")
        if out.exists() and (not out.is_dir() or any(out.iterdir())):
            raise KerasMtlError(f"{out} is there and is not an empty folder", hint="give another --out")
    except OSError as error:
        raise KerasMtlError(f"can't write {out}: {error.strerror}", hint="give another --out") from None


def _write(content: Mapping[str, bytes], out: Path) -> None:
    try:
        with new_folder(out) as temporary:
            for file, data in content.items():
                (temporary / file).parent.mkdir(parents=True, exist_ok=True)
                (temporary / file).write_bytes(data)
    except OSError as error:
        reason = error.strerror or "it is there"
        raise KerasMtlError(f"can't write {out}: {reason}", hint="give another --out") from None


def _require_passed(artifact: Artifact, report: Report, name: str) -> None:
    if report.artifact.get("sha256") != artifact.sha256:
        raise ArtifactError(f"the report is not on this artifact ({name})", hint="emulate it again")
    if not report.passed:
        which = report.artifact.get("path") or name
        raise VerdictFailed(f"{which} fails {report.target['name']}: {report.failures()}", hint="no bundle was written")
    tflm = next((engine for engine in report.engines if engine.engine == "tflm"), None)
    if tflm is None or tflm.arena_bytes is None:
        reason = tflm.reason if tflm else "the report has no run of it"
        raise VerdictFailed(f"{name} does not run in TFLM, so there is no firmware for it: {reason}")


def _networks_header(name: str, files: Mapping[str, bytes]) -> str:
    """The header that starts and runs the networks of one of several bundles, in its folder."""
    found = (path.removeprefix(f"{name}/") for path in files if path.startswith(f"{name}/"))
    return next(path for path in found if path in ("model_networks.h", "listener_networks.h"))


def _manifest_of_all(names: Sequence[str], files: Mapping[str, bytes]) -> bytes:
    """Of several bundles in one folder: every file of them, their own manifests too."""
    return manifest_json({"bundles": list(names), "keras_mtl": package_version("keras_mtl")}, files)


def _without_path(report: Report) -> Report:
    """The report without the place where the artifact lay: a bundle is the same wherever it was made."""
    about = {key: value for key, value in report.artifact.items() if key != "path"}
    return replace(report, artifact=about)
