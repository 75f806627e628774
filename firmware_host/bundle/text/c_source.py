"""Files of C and C++ source that lie in the package: static ones, and templates that are filled in."""

from __future__ import annotations

from collections.abc import Iterable
from importlib import resources
from string import Template
from typing import Any

#: The folder of a bundle that static sources go to.
FOLDER = "kmtl"
#: What every bundle has: how its networks are called, and the self-test's comparisons.
ALWAYS = ("kmtl_network.h", "kmtl_selftest.h", "kmtl_selftest.c")
#: What one for TensorFlow Lite Micro has besides.
TFLM_ONLY = ("kmtl_tflm.h",)
_PLACES = ("c", "templates")


def static_texts(names: Iterable[str]) -> dict[str, str]:
    """Texts of static sources by their path in a bundle."""
    return {f"{FOLDER}/{name}": _read(name) for name in names}


def filled(template: str, /, **words: Any) -> str:
    """A template with its words filled in; each `$word` of it must be given."""
    return Template(_read(template)).substitute(words)


def _read(name: str) -> str:
    here = resources.files("keras_mtl.firmware_host.bundle")
    found = [here / place / name for place in _PLACES if (here / place / name).is_file()]
    return found[0].read_text("utf-8")
