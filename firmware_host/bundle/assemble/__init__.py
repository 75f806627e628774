"""Gathers the files of a bundle and writes its folder."""

from typing import TYPE_CHECKING

from keras_mtl.core.lazy import lazy

if TYPE_CHECKING:
    from keras_mtl.firmware_host.bundle.assemble.folder import require_free
else:
    __getattr__, __dir__ = lazy(__name__)

__all__ = ["require_free"]
