"""A bundle's bill of materials, `sbom.cdx.json`: CycloneDX 1.6 in JSON. The same bundle gives the same bytes.

It lists what the bundle holds (the models, the generated and the static sources) and what a firmware links besides:
TensorFlow Lite Micro and Arm's CMSIS libraries, with the versions that this project was checked with. So it has no time
stamp, and its serial number is made of its content.
"""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Mapping
from typing import Any

from keras_mtl.core import to_json

SBOM = "sbom.cdx.json"
_SCHEMA = "http://cyclonedx.org/schema/bom-1.6.schema.json"
#: The commit that TensorFlow Lite Micro of August 2026 takes (its `ext_libs/cmsis_nn_download.sh`).
_CMSIS_NN = "4ab83cc3cc98fb85ed6dafb55e8ca02f1628dcae"
_SOURCES = (".c", ".h", ".cc", ".cpp", ".ino")
_SOURCES_WORDS = {
    True: "The C and C++ sources of this bundle: models as arrays, resolvers, settings, front end, driver",
    False: "The C sources of this bundle: networks, their kernels, settings, front end, driver",
}
_APACHE: list[dict[str, Any]] = [{"license": {"id": "Apache-2.0"}}]


def sbom_json(facts: Mapping[str, Any], models: Mapping[str, bytes], files: Mapping[str, bytes]) -> bytes:
    """The text of `sbom.cdx.json`.

    Args:
        facts: of `manifest.about`.
        models: content of the `.tflite` file of each network, by its identifier in C.
        files: content of every file but this one and the manifest, by path.
    """
    root = f"bundle:{facts['name']}"
    networks = [_model(name, content, facts["artifact"]) for name, content in models.items()]
    sources = {path: content for path, content in sorted(files.items()) if path.endswith(_SOURCES)}
    code = {
        "type": "library",
        "bom-ref": "sources",
        "name": "keras_mtl firmware sources",
        "version": facts["keras_mtl"],
        "description": _SOURCES_WORDS[facts["runtime"] == "tflm"],
        "licenses": _APACHE,
        "components": [
            {"type": "file", "bom-ref": f"file:{path}", "name": path, "hashes": _hashes(content)}
            for path, content in sources.items()
        ],
    }
    interpreted = facts["runtime"] == "tflm"
    linked = _linked(facts["engines"].get("tflm", "unknown")) if interpreted else []
    document: dict[str, Any] = {
        "$schema": _SCHEMA,
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {
            "lifecycles": [{"phase": "build"}],
            "tools": {
                "components": [{"type": "application", "name": "keras_mtl", "version": facts["keras_mtl"]}],
            },
            "component": {
                "type": "firmware",
                "bom-ref": root,
                "name": facts["name"],
                "version": _digest(b"".join(models.values()))[:16],
                "description": f"A network and the code around it, checked for {facts['target']}",
            },
        },
        "components": [*networks, code, *linked],
        "dependencies": [
            {"ref": root, "dependsOn": ["sources", *(network["bom-ref"] for network in networks)]},
            {"ref": "sources", "dependsOn": [part["bom-ref"] for part in linked if part["name"] != "CMSIS-NN"]},
            *([{"ref": "tflite-micro", "dependsOn": ["cmsis-nn"]}] if interpreted else []),
        ],
        # What TensorFlow Lite Micro itself is built of is for the one who builds it to list.
        "compositions": [{"aggregate": "incomplete", "assemblies": [root]}],
    }
    serial = uuid.uuid5(uuid.NAMESPACE_URL, _digest(to_json(document).encode()))
    ordered = {key: document[key] for key in ("$schema", "bomFormat", "specVersion")}
    return to_json({**ordered, "serialNumber": f"urn:uuid:{serial}", **document}).encode("utf-8")


def _model(name: str, content: bytes, manifest: Mapping[str, Any]) -> dict[str, Any]:
    card: dict[str, Any] = {"modelParameters": {"task": str(manifest.get("part") or "unknown")}}
    data = manifest.get("data")
    if isinstance(data, dict):
        properties = [{"name": "keras_mtl:fingerprint", "value": str(data.get("fingerprint"))}]
        dataset = {"type": "dataset", "name": str(data.get("name")), "contents": {"properties": properties}}
        card["modelParameters"]["datasets"] = [dataset]
    facts = {key: manifest.get(key) for key in ("system", "format", "seed", "git_revision")}
    recipe = manifest.get("recipe")
    if isinstance(recipe, dict):
        facts |= {"recipe": recipe.get("name"), "recipe_sha256": recipe.get("sha256")}
    return {
        "type": "machine-learning-model",
        "bom-ref": f"model:{name}",
        "name": name,
        "version": _digest(content)[:16],
        "hashes": _hashes(content),
        "modelCard": card,
        "properties": [
            {"name": f"keras_mtl:{key}", "value": str(value)} for key, value in facts.items() if value is not None
        ],
    }


def _linked(tflm: str) -> list[dict[str, Any]]:
    """What a firmware links and the bundle does not hold."""
    found = [
        ("tflite-micro", "TensorFlow Lite Micro", tflm, "pkg:github/tensorflow/tflite-micro", "required"),
        ("cmsis-nn", "CMSIS-NN", _CMSIS_NN, f"pkg:github/ARM-software/CMSIS-NN@{_CMSIS_NN}", "optional"),
    ]
    return [
        {
            "type": "library",
            "bom-ref": ref,
            "name": name,
            "version": version,
            "scope": scope,
            "licenses": _APACHE,
            "purl": purl,
            "properties": [{"name": "keras_mtl:contained", "value": "no: linked by the firmware's author"}],
        }
        for ref, name, version, purl, scope in found
    ]


def _hashes(content: bytes) -> list[dict[str, str]]:
    return [{"alg": "SHA-256", "content": _digest(content)}]


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
