"""Quantization-aware twins of layers and networks, and their calibration."""

from typing import TYPE_CHECKING

from keras_mtl.core.lazy import lazy

if TYPE_CHECKING:
    from keras_mtl.tflite.qat import registered
    from keras_mtl.tflite.qat.arithmetic import AveragePool, Product, ReciprocalRoot, Sum
    from keras_mtl.tflite.qat.calibration import best_range, calibrate, ranges
    from keras_mtl.tflite.qat.event_head import INTERFACE, cell_step, classifier_step, look_ahead_of, recurrent_cells
    from keras_mtl.tflite.qat.fake_quant import (
        SMALLEST_LIMIT,
        FakeQuant,
        fake_quant_per_channel,
        fake_quant_per_tensor,
    )
    from keras_mtl.tflite.qat.folding import gain_of, is_relu, relu_of, saturation, take_normalisation, take_relu
    from keras_mtl.tflite.qat.graph import Graph, Node, flatten, graph_of
    from keras_mtl.tflite.qat.gru import FakeQuantGRU
    from keras_mtl.tflite.qat.layers import FakeQuantConv2D, FakeQuantDense, FakeQuantDepthwiseConv2D, both_steps
    from keras_mtl.tflite.qat.registry import Build, TwinBuilder, TwinCall, activation_name, unsupported
    from keras_mtl.tflite.qat.scene_model import CELLS, as_network, build_qat, embeddings_range, is_one_graph
    from keras_mtl.tflite.qat.scheme import FORMATS, LEARNING, SCHEMES, Scheme, scheme_of
    from keras_mtl.tflite.qat.twins import EMBEDDINGS, MOVERS, TracedCall
else:
    __getattr__, __dir__ = lazy(__name__)

__all__ = [
    "CELLS", "EMBEDDINGS", "FORMATS", "INTERFACE", "LEARNING", "MOVERS", "SCHEMES", "SMALLEST_LIMIT", "AveragePool",
    "Build", "FakeQuant", "FakeQuantConv2D", "FakeQuantDense", "FakeQuantDepthwiseConv2D", "FakeQuantGRU", "Graph",
    "Node", "Product", "ReciprocalRoot", "Scheme", "Sum", "TracedCall", "TwinBuilder", "TwinCall", "activation_name",
    "as_network", "best_range", "both_steps", "build_qat", "calibrate", "cell_step", "classifier_step",
    "embeddings_range", "fake_quant_per_channel", "fake_quant_per_tensor", "flatten", "gain_of", "graph_of",
    "is_one_graph", "is_relu", "look_ahead_of", "ranges", "recurrent_cells", "registered", "relu_of", "saturation",
    "scheme_of", "take_normalisation", "take_relu", "unsupported",
]  # fmt: skip
