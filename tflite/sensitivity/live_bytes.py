"""Estimates the arena that the activations of a twin take, in 8 bits or 16.

A tensor lives from the operator that makes it to the last one that reads it. What an interpreter needs for itself is
not counted.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any

import keras

from keras_mtl.tflite.flatbuffer import Block, extent_bytes
from keras_mtl.tflite.qat import MOVERS, AveragePool, FakeQuant
from keras_mtl.tflite.sensitivity.partial_quantization import part_name


@dataclass
class Tensor:
    """Activations between operators.

    Attributes:
        values: how many, for one inference.
        made: number of the operator that makes it; -1 for the input.
        part: name of the part on whose range the values lie.
        read: number of the last operator that reads it.
    """

    values: int
    made: int
    part: str
    read: int = -1


@dataclass
class LiveTensors:
    """The tensors of a twin, and its operators in the order of computation.

    Attributes:
        operators: names.
        tensors: all activations.
    """

    operators: list[str] = field(default_factory=list)
    tensors: list[Tensor] = field(default_factory=list)

    def at(self, operator: int) -> list[Tensor]:
        """What is alive while an operator computes: what it reads and makes, and what is read later."""
        return [tensor for tensor in self.tensors if tensor.made <= operator <= tensor.read]

    def peak_bytes(self, wide: Collection[str] = (), first: int = 0, last: int | None = None) -> int:
        """The most bytes that are alive at a time.

        Args:
            wide: names of parts whose activations have 16 bits; the others have 8.
            first: number of the first operator to look at.
            last: number of the last one; None for that of all.
        """
        end = len(self.operators) if last is None else last + 1
        return max(
            sum(tensor.values * (1 + (tensor.part in wide)) for tensor in self.at(operator))
            for operator in range(first, end)
        )

    def planned_bytes(self, wide: Collection[str] = (), first: int = 0, last: int | None = None) -> int:
        """The bytes that TensorFlow Lite Micro's memory planner lays the tensors out in: the peak, and gaps.

        See `arena_placement`. The arguments are those of `peak_bytes`.
        """
        end = len(self.operators) - 1 if last is None else last
        alive = [tensor for tensor in self.tensors if tensor.made <= end and tensor.read >= first]
        # In reverse: of tensors of one size the planner places the last one first. The twin names operators of branches
        # in another order than the file, and in reverse what was measured for `cp_mobile` comes out.
        return extent_bytes([Block(t.values * (1 + (t.part in wide)), t.made, t.read) for t in reversed(alive)])

    def values_of(self, part: str) -> int:
        """Values of all tensors on a part's range."""
        return sum(tensor.values for tensor in self.tensors if tensor.part == part)

    def parts(self) -> tuple[str, ...]:
        """Names of the parts whose ranges tensors lie on, in the order of computation."""
        return tuple(dict.fromkeys(tensor.part for tensor in self.tensors))


def live_tensors(twin: keras.Model) -> LiveTensors:
    """Finds the tensors of a scene twin: a model of `build_qat` for scenes, of whichever scheme."""
    live, known = LiveTensors(), dict[int, Tensor]()
    for tensor in twin.inputs:
        known[id(tensor)] = _made(live, tensor, -1, str(tensor.name))
    for depth in sorted(twin._nodes_by_depth, reverse=True):
        for node in twin._nodes_by_depth[depth]:
            if not node.is_input:
                _follow(live, known, node)
    for tensor in twin.outputs:
        known[id(tensor)].read = len(live.operators) - 1
    return live


def _follow(live: LiveTensors, known: dict[int, Tensor], node: Any) -> None:
    """Enters what a call reads and makes; steps, which have no batch axis, are no tensors of the file."""
    layer, output = node.operation, node.outputs[0]
    sources = [known[id(tensor)] for tensor in node.input_tensors if id(tensor) in known]
    if isinstance(layer, FakeQuant):
        sources[0].part = part_name(layer)
    if isinstance(layer, FakeQuant | keras.layers.Identity):
        known[id(output)] = sources[0]
        return
    number = len(live.operators)
    live.operators.append(layer.name)
    for source in sources:
        source.read = number
    keeps = isinstance(layer, (*MOVERS, AveragePool))
    known[id(output)] = _made(live, output, number, sources[0].part if keeps else layer.name)


def _made(live: LiveTensors, tensor: Any, number: int, part: str) -> Tensor:
    values = 1
    for size in tensor.shape[1:]:
        values *= size
    live.tensors.append(Tensor(values, number, part, number))
    return live.tensors[-1]
