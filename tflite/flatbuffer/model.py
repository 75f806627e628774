"""Reads and writes `.tflite` files by their schema, without TensorFlow.

A model is the object tree (`ModelT`) of the schema that `ai_edge_litert` ships. Strings in it are bytes, and vectors of
numbers are numpy arrays that may be views of the file. The helpers give names, types, quantization and constant data in
plain Python. `write_model` gives the same bytes for the same tree, and aligns constant data to 16 bytes, which a
microcontroller needs and the schema's own packer forgets.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema

from keras_mtl.core import ArtifactError
from keras_mtl.tflite.flatbuffer.verify import fault_of, structure_fault

_IDENTIFIER = b"TFL3"
_ALIGNMENT_BYTES = 16
_DTYPES: dict[int, str] = {
    getattr(schema.TensorType, name): name.lower() for name in dir(schema.TensorType) if name.isupper()
}
_OPS: dict[int, str] = {
    getattr(schema.BuiltinOperator, name): name for name in dir(schema.BuiltinOperator) if name.isupper()
}


@dataclass(frozen=True)
class Quantization:
    """Affine quantization of a tensor: real = scale * (integer - zero_point).

    Attributes:
        scale: one value, or one for each index of `axis`.
        zero_point: as many.
        axis: the quantized dimension when there is more than one scale.
    """

    scale: tuple[float, ...]
    zero_point: tuple[int, ...]
    axis: int


class _AlignedBuffer(schema.BufferT):
    """A constant's bytes, packed at a multiple of 16 as the schema's `force_align` demands."""

    def Pack(self, builder: Any) -> Any:  # noqa: N802 (the schema's name)
        """Writes the buffer at an aligned place."""
        data = None
        if self.data is not None and len(self.data):
            content = np.ascontiguousarray(self.data, dtype=np.uint8).tobytes()
            builder.StartVector(1, len(content), _ALIGNMENT_BYTES)
            builder.head = builder.Head() - len(content)
            builder.Bytes[builder.Head() : builder.Head() + len(content)] = content
            data = builder.EndVector()
        schema.BufferStart(builder)
        if data is not None:
            schema.BufferAddData(builder, data)
        return schema.BufferEnd(builder)


def read_model(content: bytes) -> Any:
    """The object tree of a `.tflite` file.

    Returns:
        A `ModelT` with at least one subgraph.

    Raises:
        ArtifactError: no bytes, not a TFLite file, cut off or corrupt, or a model without operators.
    """
    if not content:
        raise ArtifactError("the .tflite file has 0 bytes", hint="convert the run again")
    if len(content) < 8 or content[4:8] != _IDENTIFIER:
        raise ArtifactError("not a TFLite file: it lacks the identifier TFL3", hint="give a .tflite file")
    try:
        fault = structure_fault(content)
        model = None if fault else schema.ModelT.InitFromPackedBuf(content, 0)
        fault = fault or fault_of(model)
    except Exception as error:  # a vector that isn't verified: those in the options of some operators
        raise ArtifactError(
            f"the TFLite file is cut off or corrupt ({type(error).__name__})", hint="copy or convert it again"
        ) from None
    if fault:
        raise ArtifactError(f"the TFLite file {fault}", hint="copy or convert it again")
    return model


def write_model(model: Any) -> bytes:
    """Packs an object tree. The same tree gives the same bytes.

    Args:
        model: a `ModelT`. Its buffers are replaced by aligned ones.
    """
    for index, buffer in enumerate(model.buffers or []):
        if not isinstance(buffer, _AlignedBuffer):
            aligned = _AlignedBuffer()
            aligned.data = buffer.data
            model.buffers[index] = aligned
    builder = flatbuffers.Builder(1 << 16)
    builder.Finish(model.Pack(builder), file_identifier=_IDENTIFIER)
    return bytes(builder.Output())


def text(value: bytes | str | None) -> str:
    """A string of the schema as `str`, in one line: names in a damaged file must not steer a terminal."""
    decoded = value.decode("utf-8", "replace") if isinstance(value, bytes) else (value or "")
    return "".join(c if c.isprintable() else "\ufffd" for c in decoded)


def operators(model: Any) -> Iterator[tuple[Any, Any]]:
    """All operators as (subgraph, operator), in the order of execution of each subgraph."""
    for subgraph in model.subgraphs:
        for operator in subgraph.operators or []:
            yield subgraph, operator


def op_name(model: Any, operator: Any) -> str:
    """Name of an operator, as "CONV_2D"; "CUSTOM:name" for a custom one."""
    return code_name(model.operatorCodes[operator.opcodeIndex])


def code_name(code: Any) -> str:
    """Name of an entry of a file's list of operator codes, as `op_name` has it."""
    # Files before schema 3a hold the code in the deprecated field only.
    number = max(code.builtinCode, code.deprecatedBuiltinCode)
    name = _OPS.get(number, f"UNKNOWN_{number}")
    return f"CUSTOM:{text(code.customCode)}" if name == "CUSTOM" else name


def op_version(model: Any, operator: Any) -> int:
    """Version of an operator in this file."""
    return int(model.operatorCodes[operator.opcodeIndex].version)


def operator_code(model: Any, name: str, version: int) -> int:
    """Index of the operator code of this name and version, which is added where the file has none."""
    number = getattr(schema.BuiltinOperator, name)
    for index, code in enumerate(model.operatorCodes):
        if (max(code.builtinCode, code.deprecatedBuiltinCode), code.version) == (number, version):
            return index
    code = schema.OperatorCodeT()
    code.builtinCode = code.deprecatedBuiltinCode = number
    code.version = version
    model.operatorCodes.append(code)
    return len(model.operatorCodes) - 1


def op_inputs(subgraph: Any, operator: Any) -> list[Any | None]:
    """Input tensors of an operator; None for an optional one that is left out."""
    return [subgraph.tensors[i] if i >= 0 else None for i in indices(operator.inputs)]


def op_outputs(subgraph: Any, operator: Any) -> list[Any]:
    """Output tensors of an operator."""
    return [subgraph.tensors[i] for i in indices(operator.outputs)]


def resource_variables(model: Any) -> set[tuple[str, str]]:
    """The variables of all subgraphs that keep their values from one inference to the next: container and name of each.

    Raises:
        ArtifactError: a VAR_HANDLE that names none.
    """
    handles = [operator.builtinOptions for _, operator in operators(model) if op_name(model, operator) == "VAR_HANDLE"]
    try:
        return {(text(handle.container), text(handle.sharedName)) for handle in handles}
    except AttributeError:
        raise ArtifactError("operator VAR_HANDLE names no variable", hint="convert it again") from None


def graph_inputs(model: Any) -> list[Any]:
    """Input tensors of the main subgraph."""
    return [model.subgraphs[0].tensors[i] for i in indices(model.subgraphs[0].inputs)]


def graph_outputs(model: Any) -> list[Any]:
    """Output tensors of the main subgraph."""
    return [model.subgraphs[0].tensors[i] for i in indices(model.subgraphs[0].outputs)]


def tensor_name(tensor: Any) -> str:
    """Name of a tensor."""
    return text(tensor.name)


def tensor_shape(tensor: Any) -> tuple[int, ...]:
    """Shape of a tensor; () for a scalar."""
    return tuple(indices(tensor.shape))


def tensor_dtype(tensor: Any) -> str:
    """Type of a tensor's elements, as "int8", "int16", "float32"."""
    return _DTYPES.get(tensor.type, f"unknown_{tensor.type}")


def quantization(tensor: Any) -> Quantization | None:
    """Scale and zero point of a tensor; None when it has none."""
    parameters = tensor.quantization
    if parameters is None or parameters.scale is None or not len(parameters.scale):
        return None
    return Quantization(
        scale=tuple(float(v) for v in parameters.scale),
        zero_point=tuple(indices(parameters.zeroPoint)) or (0,) * len(parameters.scale),
        axis=int(parameters.quantizedDimension),
    )


def constant_bytes(model: Any, tensor: Any) -> bytes | None:
    """Raw constant data of a tensor; None when it is computed at run time."""
    data = model.buffers[tensor.buffer].data
    return None if data is None or not len(data) else np.asarray(data, dtype=np.uint8).tobytes()


def constant(model: Any, tensor: Any) -> np.ndarray | None:
    """Constant data of a tensor in its own type and shape; None when it is computed at run time.

    Raises:
        ArtifactError: a type that numpy lacks (int4, string, ...), or data that do not fill the shape.
    """
    content = constant_bytes(model, tensor)
    if content is None:
        return None
    try:
        return np.frombuffer(content, dtype=np.dtype(tensor_dtype(tensor))).reshape(tensor_shape(tensor))
    except (TypeError, ValueError):
        raise ArtifactError(
            f"constant {tensor_name(tensor)} of type {tensor_dtype(tensor)} can't be read: {len(content)} bytes for "
            f"shape {list(tensor_shape(tensor))}"
        ) from None


def set_constant(model: Any, tensor: Any, values: np.ndarray) -> None:
    """Gives a tensor new constant data in a buffer of its own (others may share the old one)."""
    buffer = _AlignedBuffer()
    buffer.data = np.frombuffer(np.ascontiguousarray(values).tobytes(), dtype=np.uint8)
    users = sum(other.buffer == tensor.buffer for graph in model.subgraphs for other in graph.tensors)
    if users > 1:
        model.buffers.append(buffer)
        tensor.buffer = len(model.buffers) - 1
    else:
        model.buffers[tensor.buffer] = buffer


def add_constant(model: Any, subgraph: Any, name: str, values: np.ndarray) -> int:
    """Adds a constant tensor to a subgraph, and gives its index."""
    tensor = schema.TensorT()
    tensor.name, tensor.shape = name, list(values.shape)
    tensor.type = getattr(schema.TensorType, values.dtype.name.upper())
    model.buffers.append(schema.BufferT())
    tensor.buffer = len(model.buffers) - 1
    subgraph.tensors.append(tensor)
    set_constant(model, tensor, values)
    return len(subgraph.tensors) - 1


def parameter_bytes(model: Any) -> int:
    """Bytes of all constant data that operators read: weights, biases, shapes, axes; shared data counts once."""
    tensors = [tensor for subgraph, operator in operators(model) for tensor in op_inputs(subgraph, operator)]
    read = {tensor.buffer for tensor in tensors if tensor is not None}
    return sum(len(model.buffers[i].data) for i in read if model.buffers[i].data is not None)


def read_metadata(model: Any, name: str) -> bytes | None:
    """A metadata entry of the file; None when it has none of that name."""
    for entry in model.metadata or []:
        if text(entry.name) == name:
            data = model.buffers[entry.buffer].data
            return b"" if data is None else np.asarray(data, dtype=np.uint8).tobytes()
    return None


def set_metadata(model: Any, name: str, content: bytes) -> None:
    """Adds a metadata entry, or replaces the one of that name."""
    buffer = _AlignedBuffer()
    buffer.data = np.frombuffer(content, dtype=np.uint8)
    model.metadata = model.metadata or []
    for entry in model.metadata:
        if text(entry.name) == name:
            model.buffers[entry.buffer] = buffer
            return
    entry = schema.MetadataT()
    entry.name, entry.buffer = name, len(model.buffers)
    model.buffers.append(buffer)
    model.metadata.append(entry)


def indices(values: Any) -> list[int]:
    """A vector of the schema as whole numbers; empty where it is None."""
    return [] if values is None else [int(v) for v in values]
