"""Ways to damage a `.tflite` file, each the same for the same generator."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from keras_mtl.tflite import flatbuffer

Random = np.random.Generator
_WILD = (0, 1, 2, 4, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 0xFFFFFFFC, 0x10000, 0x1000000)
_DIMS = (0, -1, 1, 2, 3, 7, 1 << 10, 1 << 16, 1 << 20, (1 << 31) - 1, -(1 << 31))


def _structure(content: bytes) -> np.ndarray:
    """Places of the 32-bit words that are no constants: tables, offsets, shapes, names."""
    free = np.ones(len(content) // 4, bool)
    base = np.frombuffer(content, np.uint8).__array_interface__["data"][0]
    for buffer in flatbuffer.read_model(content).buffers:
        if buffer.data is not None and len(buffer.data):
            start = buffer.data.__array_interface__["data"][0] - base
            free[start // 4 : (start + len(buffer.data)) // 4] = False
    return np.flatnonzero(free) * 4


def flip_bits(content: bytes, random: Random) -> bytes:
    damaged = bytearray(content)
    for place in random.integers(0, len(content), random.integers(1, 9)):
        damaged[place] ^= 1 << int(random.integers(8))
    return bytes(damaged)


def flip_structure(content: bytes, random: Random) -> bytes:
    damaged = bytearray(content)
    for place in random.choice(_structure(content), random.integers(1, 4)):
        damaged[int(place) + int(random.integers(4))] ^= 1 << int(random.integers(8))
    return bytes(damaged)


def cut(content: bytes, random: Random) -> bytes:
    return content[: int(random.integers(0, len(content)))]


def cut_out(content: bytes, random: Random) -> bytes:
    first, last = sorted(int(i) for i in random.integers(0, len(content), 2))
    return content[:first] + content[last:]


def put_in(content: bytes, random: Random) -> bytes:
    place = int(random.integers(0, len(content)))
    return content[:place] + random.bytes(int(random.integers(1, 64))) + content[place:]


def swap_words(content: bytes, random: Random) -> bytes:
    damaged = bytearray(content)
    for _ in range(int(random.integers(1, 4))):
        a, b = (int(i) for i in random.choice(_structure(content), 2))
        damaged[a : a + 4], damaged[b : b + 4] = damaged[b : b + 4], damaged[a : a + 4]
    return bytes(damaged)


def wild_words(content: bytes, random: Random) -> bytes:
    damaged = bytearray(content)
    for place in random.choice(_structure(content), random.integers(1, 3)):
        value = int(random.choice(_WILD)) if random.random() < 0.7 else int(random.integers(len(content)))
        damaged[int(place) : int(place) + 4] = value.to_bytes(4, "little")
    return bytes(damaged)


def _rebuilt(change: Callable[[Any, Random], None]) -> Callable[[bytes, Random], bytes]:
    def mutate(content: bytes, random: Random) -> bytes:
        model = flatbuffer.read_model(content)
        change(model, random)
        return flatbuffer.write_model(model)

    mutate.__name__ = change.__name__.lstrip("_")
    return mutate


def _any(random: Random, listed: Any) -> Any:
    return listed[int(random.integers(len(listed)))]


def _graph(model: Any, random: Random) -> Any:
    return _any(random, [graph for graph in model.subgraphs if graph.operators])


def _shape(model: Any, random: Random) -> None:
    tensor = _any(random, _graph(model, random).tensors)
    shape = list(flatbuffer.tensor_shape(tensor))
    for _ in range(int(random.integers(1, 3))):
        if shape and random.random() < 0.8:
            shape[int(random.integers(len(shape)))] = int(random.choice(_DIMS))
        else:
            shape = [int(v) for v in random.choice(_DIMS, random.integers(0, 12))]
    tensor.shape = shape


def _all_shapes(model: Any, random: Random) -> None:
    """Every tensor's batch: as large a file as can be, and in itself without fault."""
    size = int(random.choice(_DIMS[4:-1]))
    for graph in model.subgraphs:
        for tensor in graph.tensors:
            if flatbuffer.tensor_shape(tensor) and flatbuffer.constant_bytes(model, tensor) is None:
                tensor.shape = [size, *(int(v) for v in tensor.shape[1:])]


def _dtype(model: Any, random: Random) -> None:
    _any(random, _graph(model, random).tensors).type = int(random.integers(-2, 24))


def _scale(model: Any, random: Random) -> None:
    tensors = [t for t in _graph(model, random).tensors if flatbuffer.quantization(t)] or [None]
    tensor = _any(random, tensors)
    if tensor is None:
        return
    scales = np.array(tensor.quantization.scale, np.float32)
    wild = (0.0, -1.0, np.nan, np.inf, 1e-38, 1e30, 3.0)
    scales[int(random.integers(len(scales)))] = random.choice(wild)
    tensor.quantization.scale = scales[: int(random.integers(1, len(scales) + 1))]
    tensor.quantization.zeroPoint = random.integers(-(1 << 40), 1 << 40, random.integers(0, 4))
    tensor.quantization.quantizedDimension = int(random.integers(-3, 9))


def _code(model: Any, random: Random) -> None:
    code = _any(random, model.operatorCodes)
    code.builtinCode = int(random.integers(0, 210))
    code.deprecatedBuiltinCode = min(code.builtinCode, 127)
    code.version = int(random.choice((-1, 0, 1, 2, 3, 9, 1 << 30)))


def _wires(model: Any, random: Random) -> None:
    graph = _graph(model, random)
    operator = _any(random, graph.operators)
    listed = [int(i) for i in random.integers(-1, len(graph.tensors), random.integers(0, 6))]
    if random.random() < 0.5:
        operator.inputs = listed
    else:
        operator.outputs = [max(0, i) for i in listed]


def _options(model: Any, random: Random) -> None:
    operator = _any(random, _graph(model, random).operators)
    if operator.builtinOptions is None or random.random() < 0.3:
        operator.builtinOptionsType, operator.builtinOptions = 0, None
        return
    for name, value in vars(operator.builtinOptions).items():
        if isinstance(value, int) and not isinstance(value, bool) and random.random() < 0.5:
            setattr(operator.builtinOptions, name, int(random.integers(-3, 100)))


def _constants(model: Any, random: Random) -> None:
    """Other data behind a tensor: fewer bytes, or numbers that operators take for shapes and axes."""
    held = [buffer for buffer in model.buffers if buffer.data is not None and len(buffer.data)]
    if not held:
        return
    short = [buffer for buffer in held if len(buffer.data) <= 64] or held
    buffer = _any(random, short if random.random() < 0.7 else held)
    data = np.array(buffer.data, np.uint8)
    if random.random() < 0.5:
        data = data[: int(random.integers(len(data)))]
    else:
        data[: len(data) // 4 * 4] = random.choice(np.array(_DIMS, np.int32), len(data) // 4).view(np.uint8)
    buffer.data = data


def _ports(model: Any, random: Random) -> None:
    graph = model.subgraphs[0]
    listed = [int(i) for i in random.integers(0, len(graph.tensors), random.integers(0, 5))]
    if random.random() < 0.5:
        graph.inputs = listed
    else:
        graph.outputs = listed


def _order(model: Any, random: Random) -> None:
    graph = _graph(model, random)
    graph.operators = [_any(random, graph.operators) for _ in range(int(random.integers(1, 40)))]


def _shared_tables(model: Any, random: Random) -> None:
    """Many subgraphs, and loops that lead from one to the next."""
    count = int(random.integers(2, 9))
    code = schema.OperatorCodeT()
    code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.WHILE
    code.version = 1
    model.operatorCodes.append(code)
    for number in range(count):
        loop, options = schema.OperatorT(), schema.WhileOptionsT()
        loop.opcodeIndex = len(model.operatorCodes) - 1
        loop.inputs = list(model.subgraphs[0].inputs)
        loop.outputs = list(model.subgraphs[0].inputs)
        options.condSubgraphIndex, options.bodySubgraphIndex = 0, min(number + 1, count - 1)
        loop.builtinOptionsType, loop.builtinOptions = schema.BuiltinOptions.WhileOptions, options
        graph = schema.SubGraphT()
        graph.tensors, graph.inputs = model.subgraphs[0].tensors, list(model.subgraphs[0].inputs)
        graph.outputs, graph.operators = list(model.subgraphs[0].inputs), [loop, loop]
        model.subgraphs.append(graph)


#: All ways, those that lead deepest first.
MUTATIONS: dict[str, Callable[[bytes, Random], bytes]] = {
    mutate.__name__: mutate
    for mutate in (
        *map(_rebuilt, (_shape, _all_shapes, _dtype, _scale, _code, _wires, _options, _constants, _ports, _order)),
        _rebuilt(_shared_tables), flip_bits, flip_structure, cut, cut_out, put_in, swap_words, wild_words,
    )
}  # fmt: skip
