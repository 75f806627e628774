"""Where everything lies in the memory that the networks compute in: tensors by their lives, and kernels' scratch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from keras_mtl.firmware_host.c99.layer import size_bytes
from keras_mtl.firmware_host.c99.lowering import Program
from keras_mtl.firmware_host.reference import Tensor
from keras_mtl.tflite.flatbuffer import Block, end_of, offsets


@dataclass(frozen=True)
class Memory:
    """The memory of one network.

    Attributes:
        places: offset in bytes of each tensor that lies in it, by its index.
        scratch: of each layer that has some, by its number.
        size_bytes: of all.
    """

    places: Mapping[int, int]
    scratch: Mapping[int, int]
    size_bytes: int


def memory_of(program: Program) -> Memory:
    """Plans a network's memory. Outputs live to the end; inputs and constants lie elsewhere."""
    first, last, owner = _lives(program)
    blocks, keys = [], []
    for index in {owner[index]: None for index in first}:
        own = [each for each in first if owner[each] == index]
        size = max(size_bytes(_tensor(program, each)) for each in own)
        blocks.append(Block(size, min(first[each] for each in own), max(last[each] for each in own)))
        keys.append(("tensor", index))
    for number, layer in enumerate(program.layers):
        if layer.scratch_bytes:
            blocks.append(Block(layer.scratch_bytes, number, number))
            keys.append(("scratch", number))
    starts = offsets(blocks)
    found = dict(zip(keys, starts, strict=True))
    return Memory(
        {index: found["tensor", owner[index]] for index in first},
        {number: start for (kind, number), start in found.items() if kind == "scratch"},
        end_of(blocks, starts),
    )


def _lives(program: Program) -> tuple[dict[int, int], dict[int, int], dict[int, int]]:
    """Of each tensor in the memory its first and last layer, and the tensor whose memory it has: it may lie over it."""
    first: dict[int, int] = {}
    last: dict[int, int] = {}
    for number, layer in enumerate(program.layers):
        for tensor in layer.outputs:
            first.setdefault(program.memory_of(tensor).index, number)
            last[program.memory_of(tensor).index] = number
        for source in layer.sources:
            tensor = program.memory_of(source.tensor)
            if tensor.index in first:
                last[tensor.index] = max(last[tensor.index], number)
    for tensor in program.outputs:
        last[program.memory_of(tensor).index] = len(program.layers)
    owner = {index: index for index in first}
    for number, layer in enumerate(program.layers):
        out = program.memory_of(layer.outputs[0]).index
        for place in layer.in_place:
            under = program.memory_of(layer.sources[place].tensor).index
            others = [program.memory_of(each.tensor).index for n, each in enumerate(layer.sources) if n != place]
            # It is read for the last time, by this layer alone, and what is written begins here.
            if under in first and last[under] == number and first[out] == number and under not in others:
                owner[out] = owner[under]
                break
    return first, last, owner


def _tensor(program: Program, index: int) -> Tensor:
    return next(
        program.memory_of(tensor)
        for layer in program.layers
        for tensor in layer.outputs
        if program.memory_of(tensor).index == index
    )
