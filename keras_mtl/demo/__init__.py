"""The main job on the embedded data, end to end: what `keras_mtl demo` runs."""

from keras_mtl.demo.pipeline import run_demo

__all__ = ["run_demo"]
