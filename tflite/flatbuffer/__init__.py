"""`.tflite` files without TensorFlow: reading, writing, verification, and figures read from them."""

from typing import TYPE_CHECKING

from keras_mtl.core.lazy import lazy

if TYPE_CHECKING:
    from keras_mtl.tflite.flatbuffer.arena_placement import (
        ALIGNMENT_BYTES,
        Block,
        aligned,
        end_of,
        extent_bytes,
        offsets,
    )
    from keras_mtl.tflite.flatbuffer.audit import float_islands, require_integer_only
    from keras_mtl.tflite.flatbuffer.loops import LOOPS, loop_graphs, trip_count
    from keras_mtl.tflite.flatbuffer.mac_count import macs, operator_macs
    from keras_mtl.tflite.flatbuffer.model import (
        add_constant,
        code_name,
        constant,
        constant_bytes,
        graph_inputs,
        graph_outputs,
        indices,
        op_inputs,
        op_name,
        op_outputs,
        op_version,
        operator_code,
        operators,
        parameter_bytes,
        quantization,
        read_metadata,
        read_model,
        resource_variables,
        set_constant,
        set_metadata,
        tensor_dtype,
        tensor_name,
        tensor_shape,
        text,
        write_model,
    )
else:
    __getattr__, __dir__ = lazy(__name__)

__all__ = [
    "ALIGNMENT_BYTES", "LOOPS", "Block", "add_constant", "aligned", "code_name", "constant", "constant_bytes",
    "end_of", "extent_bytes", "float_islands", "graph_inputs", "graph_outputs", "indices", "loop_graphs", "macs",
    "offsets", "op_inputs", "op_name", "op_outputs", "op_version", "operator_code", "operator_macs", "operators",
    "parameter_bytes", "quantization", "read_metadata", "read_model", "require_integer_only", "resource_variables",
    "set_constant", "set_metadata", "tensor_dtype", "tensor_name", "tensor_shape", "text", "trip_count",
    "write_model",
]  # fmt: skip
