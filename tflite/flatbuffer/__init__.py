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
    from keras_mtl.tflite.flatbuffer.loops import LOOPS, branch_graphs, loop_graphs, trip_count
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
    from keras_mtl.tflite.flatbuffer.operands import data_input, keeps_state, weight_inputs
    from keras_mtl.tflite.flatbuffer.steps import output_steps, tensor_step
    from keras_mtl.tflite.flatbuffer.subgraphs import of_signature, signatures
    from keras_mtl.tflite.flatbuffer.wrapped import ENDINGS, unwrapped
    from keras_mtl.tflite.flatbuffer.writer import GraphWriter, Value
else:
    __getattr__, __dir__ = lazy(__name__)

__all__ = [
    "ALIGNMENT_BYTES", "ENDINGS", "LOOPS", "Block", "GraphWriter", "Value", "add_constant", "aligned",
    "branch_graphs", "code_name", "constant", "constant_bytes", "data_input", "end_of", "extent_bytes",
    "float_islands", "graph_inputs", "graph_outputs", "indices", "keeps_state", "loop_graphs", "macs",
    "of_signature", "offsets", "op_inputs", "op_name", "op_outputs", "op_version", "operator_code", "operator_macs",
    "operators", "output_steps", "parameter_bytes", "quantization", "read_metadata", "read_model",
    "require_integer_only", "resource_variables", "set_constant", "set_metadata", "signatures", "tensor_dtype",
    "tensor_name", "tensor_shape", "tensor_step", "text", "trip_count", "unwrapped", "weight_inputs", "write_model",
]  # fmt: skip
