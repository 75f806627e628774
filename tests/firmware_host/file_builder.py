"""What small `.tflite` files are built with by hand, operator by operator."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from keras_mtl.tflite import flatbuffer


@dataclass
class Builder:
    """Collects the tensors and operators of one model; `bytes()` packs it."""

    buffers: list[bytes] = field(default_factory=lambda: [b""])
    tensors: list[list[Any]] = field(default_factory=lambda: [[]])
    operators: list[list[Any]] = field(default_factory=lambda: [[]])
    ends: list[tuple[list[int], list[int]]] = field(default_factory=lambda: [([], [])])
    codes: list[tuple[int, int]] = field(default_factory=list)
    signatures: dict[str, int] = field(default_factory=dict)

    def tensor(
        self,
        name: str,
        shape: tuple[int, ...],
        dtype: str,
        data: Any = None,
        steps: Any = None,
        zeros: Any = 0,
        axis: int = 0,
        graph: int = 0,
    ) -> int:
        made = schema.TensorT()
        made.name, made.shape, made.type = name, list(shape), getattr(schema.TensorType, dtype.upper())
        made.buffer = 0
        if data is not None:
            self.buffers.append(np.asarray(data, dtype).tobytes())
            made.buffer = len(self.buffers) - 1
        if steps is not None:
            made.quantization = schema.QuantizationParametersT()
            made.quantization.scale = np.atleast_1d(np.asarray(steps, np.float32))
            made.quantization.zeroPoint = np.broadcast_to(np.int64(zeros), made.quantization.scale.shape).copy()
            made.quantization.quantizedDimension = axis
        self.tensors[graph].append(made)
        return len(self.tensors[graph]) - 1

    def op(
        self, name: str, version: int, inputs: list[int], outputs: list[int], options: Any = None, graph: int = 0
    ) -> None:
        code = (getattr(schema.BuiltinOperator, name), version)
        if code not in self.codes:
            self.codes.append(code)
        made = schema.OperatorT()
        made.opcodeIndex, made.inputs, made.outputs = self.codes.index(code), inputs, outputs
        if options is not None:
            made.builtinOptions = options
            made.builtinOptionsType = getattr(schema.BuiltinOptions, type(options).__name__[:-1])
        self.operators[graph].append(made)

    def graph(self) -> int:
        self.tensors.append([])
        self.operators.append([])
        self.ends.append(([], []))
        return len(self.tensors) - 1

    def bytes(self) -> bytes:
        model = schema.ModelT()
        model.version, model.description = 3, "test"
        model.operatorCodes, model.buffers, model.subgraphs = [], [], []
        for number, version in self.codes:
            code = schema.OperatorCodeT()
            code.builtinCode, code.deprecatedBuiltinCode, code.version = number, min(number, 127), version
            model.operatorCodes.append(code)
        for data in self.buffers:
            buffer = schema.BufferT()
            buffer.data = np.frombuffer(data, np.uint8) if data else None
            model.buffers.append(buffer)
        for tensors, operators, (inputs, outputs) in zip(self.tensors, self.operators, self.ends, strict=True):
            graph = schema.SubGraphT()
            graph.tensors, graph.operators, graph.inputs, graph.outputs = tensors, operators, inputs, outputs
            model.subgraphs.append(graph)
        if self.signatures:
            model.signatureDefs = []
        for name, number in self.signatures.items():
            signature = schema.SignatureDefT()
            signature.signatureKey, signature.subgraphIndex, signature.inputs, signature.outputs = name, number, [], []
            model.signatureDefs.append(signature)
        return flatbuffer.write_model(model)
