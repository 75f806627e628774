"""Schemes by layer as a file: TOML or JSON, read by `quantize` and written by `sensitivity`.

scheme = "int8"

[layers]
"block_1_*" = "int16x8"
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from keras_mtl.core import ConversionError, nearest
from keras_mtl.tflite.qat import SCHEMES


@dataclass(frozen=True)
class SchemeByLayer:
    """What `quantize_model` is told.

    Attributes:
        scheme: "int8" or "int16x8", of all layers that are not named.
        layers: other schemes by name or pattern; the first that fits counts.
    """

    scheme: str
    layers: Mapping[str, str] = field(default_factory=dict)

    def to_toml(self) -> str:
        """The text of its file."""
        # A basic string of TOML is one of JSON.
        rows = [f"{json.dumps(name)} = {json.dumps(scheme)}" for name, scheme in self.layers.items()]
        return "\n".join([f"scheme = {json.dumps(self.scheme)}", "", "[layers]", *rows]) + "\n"


def read_scheme(name_or_file: str) -> SchemeByLayer:
    """A scheme by its name, or the schemes of a file that ends in .toml or .json.

    Raises:
        ConversionError: an unknown scheme or key, or a file that can't be read.
    """
    path = Path(name_or_file)
    if path.suffix not in (".toml", ".json"):
        return SchemeByLayer(_known(name_or_file, "it is named in one word, or by a file that ends in .toml or .json"))
    try:
        text = path.read_text(encoding="utf-8")
        document = tomllib.loads(text) if path.suffix == ".toml" else json.loads(text)
    except (OSError, ValueError) as error:  # both parsers' errors are ValueErrors
        raise ConversionError(f"{path} can't be read as a file of schemes: {str(error).splitlines()[0]}") from None
    if not isinstance(document, dict) or not isinstance(document.get("layers", {}), dict):
        raise ConversionError(f"{path} is no file of schemes", hint='it has the keys "scheme" and "layers"')
    for key in document:
        if key not in ("scheme", "layers"):
            raise ConversionError(f"{path}: unknown key {key}", hint=nearest(key, ("scheme", "layers")))
    layers = {name: _known(scheme, f"{path}, layer {name}") for name, scheme in document.get("layers", {}).items()}
    return SchemeByLayer(_known(document.get("scheme", "int8"), f"{path}, scheme"), layers)


def _known(scheme: object, where: str) -> str:
    if scheme not in SCHEMES:
        raise ConversionError(f"unknown scheme {scheme!r} ({where})", hint=f"one of {', '.join(SCHEMES)}")
    return str(scheme)
