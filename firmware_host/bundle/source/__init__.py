"""Pieces of C source, and the sources that are the same in every bundle."""

from typing import TYPE_CHECKING

from keras_mtl.core.lazy import lazy

if TYPE_CHECKING:
    from keras_mtl.firmware_host.bundle.source.c_source import (
        extern_c,
        header,
        identifier,
        opening,
        real,
        string,
        values,
    )
    from keras_mtl.firmware_host.bundle.source.static_files import ALWAYS, FOLDER, filled, static_texts
else:
    __getattr__, __dir__ = lazy(__name__)

__all__ = [
    "ALWAYS", "FOLDER", "extern_c", "filled", "header", "identifier", "opening", "real", "static_texts", "string",
    "values",
]  # fmt: skip
