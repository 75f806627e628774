"""What a component is put together from, whatever build system it is for; and templates filled with its words."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import resources
from string import Template
from typing import Any

_PACKAGE = "keras_mtl.firmware_host.components"


@dataclass(frozen=True)
class Parts:
    """A component, before it is one of a kind.

    Attributes:
        name: its identifier in C.
        sources: paths of what is compiled, relative to the component.
        streams: whether it takes samples for as long as there are some: then it has a predictor and an example.
        tflm: whether it links TensorFlow Lite Micro.
        image_bytes: of the image of its networks; 0 where these can't be swapped.
        version: of the model, a number that grows.
    """

    name: str
    sources: tuple[str, ...]
    streams: bool
    tflm: bool
    image_bytes: int
    version: int

    @property
    def about(self) -> str:
        """One sentence on it."""
        return f"{self.name}: networks for audio, made by keras_mtl, called from C"

    def listed(self, indent: str, strip: str = "", quoted: bool = True) -> str:
        """Its sources, one a line; `strip`: what their paths lose, and `indent` may give back."""
        mark = '"' if quoted else ""
        return "\n".join(f"{indent}{mark}{path.removeprefix(strip)}{mark}" for path in self.sources)

    def filled(self, template: str, **words: Any) -> str:
        """A template with the words that all have and these."""
        own = {"name": self.name, "NAME": self.name.upper(), "about": self.about, "version": f"{self.version}.0.0"}
        return filled(template, **own, **words)


def filled(template: str, /, **words: Any) -> str:
    """A template of this package with its words filled in; each `$word` of it must be given."""
    return Template(_read("templates", template)).substitute(words)


def static_source(name: str) -> str:
    """The text of a C file of this package."""
    return _read("c", *name.split("/"))


def _read(*place: str) -> str:
    return resources.files(_PACKAGE).joinpath(*place).read_text("utf-8")
