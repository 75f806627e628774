"""What TensorFlow Lite Micro keeps in the arena beside activations: its own structures, and kernels' data.

They grow from the arena's end downwards, in the order in which `micro_allocator.cc` and `micro_interpreter.cc` ask for
them, so the bytes between them that alignment costs are counted too.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

from keras_mtl.firmware_host.arena.kernels import MADE_IN_PREPARE, Requests
from keras_mtl.firmware_host.arena.sizes import Sizes
from keras_mtl.tflite import flatbuffer
from keras_mtl.tflite.flatbuffer import ALIGNMENT_BYTES

#: A list of integers begins with their number.
_INT_BYTES = 4


class _Tail:
    """The end of the arena, which fills downwards."""

    def __init__(self) -> None:
        self.used = 0
        self.parts: dict[str, int] = {}

    def take(self, part: str, size_bytes: int, alignment: int = ALIGNMENT_BYTES) -> None:
        before = self.used
        self.used = math.ceil((before + size_bytes) / max(1, alignment)) * max(1, alignment)
        self.parts[part] = self.parts.get(part, 0) + self.used - before


def persistent_bytes(model: Any, asked: Iterable[Requests], sizes: Sizes, variables_bytes: int) -> dict[str, int]:
    """Bytes that are kept, by what they are for.

    Args:
        model: the object tree of a `.tflite` file.
        asked: what each operator's kernel asks for, in the order of the file, subgraph after subgraph.
        sizes: of TFLM's structures.
        variables_bytes: bytes of all tensors that keep their values between inferences, each aligned.

    Returns:
        The bytes under `interpreter`, `tensors`, `operators` (nodes and their options), `kernels`, `variables` and
        `ports` (the inputs and outputs that a program sees).
    """
    tail, pointer = _Tail(), sizes.pointer
    operators = [(flatbuffer.op_name(model, operator), operator) for _, operator in flatbuffer.operators(model)]
    requests = list(asked)
    for structure in (sizes.buffer_allocator, sizes.memory_planner, sizes.allocator):
        tail.take("interpreter", structure, pointer)
    named = {str(operator.builtinOptions.sharedName) for name, operator in operators if name == "VAR_HANDLE"}
    if named:
        tail.take("variables", sizes.variables)
        tail.take("variables", sizes.variable * len(named))
    tail.take("interpreter", sizes.options_allocator, pointer)
    tail.take("interpreter", sizes.graph * len(model.subgraphs), pointer)
    for graph in model.subgraphs:
        tail.take("tensors", sizes.eval_tensor * len(graph.tensors), pointer)
    for graph in model.subgraphs:
        tail.take("operators", sizes.node * len(graph.operators or []), pointer)
    kernels = [sizes.kernel(name) for name, _ in operators]
    for kernel in kernels:
        if kernel.options:
            tail.take("operators", kernel.options, kernel.options_alignment)
    for (name, _), kernel in zip(operators, kernels, strict=True):
        if kernel.data and name not in MADE_IN_PREPARE:
            tail.take("kernels", kernel.data)
    for request in requests:
        for size in request.persistent:
            tail.take("kernels", size)
    tail.take("kernels", pointer * sum(len(request.scratch) for request in requests), pointer)
    if variables_bytes:
        tail.take("variables", variables_bytes)
    for ports in (flatbuffer.graph_inputs(model), flatbuffer.graph_outputs(model)):
        tail.take("ports", pointer * len(ports))
        for port in ports:
            tail.take("ports", sizes.tensor, pointer)
            steps = flatbuffer.quantization(port)
            if steps is not None:
                tail.take("ports", sizes.quantization, pointer)
                tail.take("ports", _INT_BYTES * (1 + len(steps.scale)), _INT_BYTES)
    return tail.parts
