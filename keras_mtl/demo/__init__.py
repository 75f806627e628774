"""The main job on the embedded data, end to end: what `keras_mtl demo` runs."""

from typing import TYPE_CHECKING

from keras_mtl.core.lazy import lazy

if TYPE_CHECKING:
    from keras_mtl.demo.pipeline import run_demo
else:
    __getattr__, __dir__ = lazy(__name__)

__all__ = ["run_demo"]
