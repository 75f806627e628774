"""The bundle's README: what a firmware engineer does with each file, and in which order."""

from __future__ import annotations

from importlib import resources
from string import Template
from typing import Any

from keras_mtl.firmware_host.bundle.golden import C_VECTORS, GoldenVectors
from keras_mtl.firmware_host.bundle.resolver import registrations
from keras_mtl.firmware_host.bundle.settings import arena_setting_bytes
from keras_mtl.firmware_host.report import Report


def readme(name: str, manifest: dict[str, Any], report: Report, vectors: GoldenVectors) -> str:
    """The text of README.md, from `templates/README.md.in`.

    Args:
        name: the model's identifier.
        manifest: the artifact's.
        report: the emulator's.
        vectors: the golden vectors.
    """
    template = resources.files("keras_mtl.firmware_host.bundle") / "templates" / "README.md.in"
    measured = next(e.arena_bytes for e in report.engines if e.engine == "tflm" and e.arena_bytes is not None)
    tflm = next(engine.version for engine in report.engines if engine.engine == "tflm")
    checks = "\n".join(
        f"| {c.name} | {'-' if c.value is None else f'{c.value:,}'} | {c.limit:,} | {c.unit} | {c.why} |"
        for c in report.checks
    )
    vector_files = [f"`{file}`" for file in vectors.binaries()]
    references = [file for file in vector_files if "reference" in file]
    reference = (
        f"{', '.join(references)} | What the network that was converted gives for the same inputs, before it became a "
        "file for an interpreter. For people; no device needs it. |"
    )
    return Template(template.read_text("utf-8")).substitute(
        name=name,
        NAME=name.upper(),
        target=report.target["name"],
        description=report.target.get("description", ""),
        part=manifest.get("part") or "unknown",
        system=manifest.get("system") or "unknown",
        sha256=report.artifact["sha256"],
        checks=checks,
        vector_files=", ".join(file for file in vector_files if file not in references),
        inputs=_ports(manifest["inputs"]),
        outputs=_ports(manifest["outputs"]),
        operators=len(registrations(report.ops)),
        measured=f"{measured:,}",
        arena=f"{arena_setting_bytes(measured):,}",
        model_bytes=f"{report.artifact['file_bytes']:,}",
        vectors=len(vectors),
        c_vectors=min(C_VECTORS, len(vectors)),
        tolerance=report.target["parity_lsb"],
        reference_row=f"\n| {reference}" if vectors.reference is not None else "",
        tflm=tflm,
    )


def _ports(ports: list[dict[str, Any]]) -> str:
    return ", ".join(f"{port['dtype']} {'x'.join(map(str, port['shape']))}" for port in ports)
