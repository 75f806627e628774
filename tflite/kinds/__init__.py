"""The kinds of layer that have a quantization-aware twin, one family a file, and what is common to them."""

from typing import TYPE_CHECKING

from keras_mtl.core.lazy import lazy

if TYPE_CHECKING:
    from keras_mtl.tflite.kinds import (
        activations,
        concatenation,
        convolutions,
        elementwise,
        functions,
        pooling,
        recurrent,
        shapes,
        time_distributed,
    )
    from keras_mtl.tflite.kinds.grid import Grid, Signal
    from keras_mtl.tflite.kinds.operator import Input, Operator
    from keras_mtl.tflite.kinds.pooling import Mean, Pool
    from keras_mtl.tflite.kinds.registry import Builder, Call, known_kinds, register
    from keras_mtl.tflite.kinds.weighted import DepthwiseConvolution, Weighted
else:
    __getattr__, __dir__ = lazy(__name__)

__all__ = [
    "Builder", "Call", "DepthwiseConvolution", "Grid", "Input", "Mean", "Operator", "Pool", "Signal",
    "Weighted", "activations", "concatenation", "convolutions", "elementwise", "functions",
    "known_kinds", "pooling", "recurrent", "register", "shapes", "time_distributed",
]  # fmt: skip
