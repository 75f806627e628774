"""Proposes which activations to hold in 16 bits, the others in 8, within the bytes that a target has for the arena.

An estimate and advice: the converter makes files of one scheme. What comes nearest on a device are two files, one of
each scheme, so the best boundary to split the network at is proposed too.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any

import keras

from keras_mtl.tflite.flatbuffer import Block, extent_bytes
from keras_mtl.tflite.qat import MOVERS, AveragePool, FakeQuant
from keras_mtl.tflite.sensitivity.measure import Sensitivity
from keras_mtl.tflite.sensitivity.partial_quantization import part_name

#: What TFLM needs beside activations, on the host: 19,232 bytes for the int16x8 file of `mt`, 17,840 of `cp_mobile`.
INTERPRETER_BYTES = 20 * 1024


@dataclass(frozen=True)
class Split:
    """Two files that run one after the other in the same arena.

    Attributes:
        after: name of the last operator of the first file.
        first, second: scheme of each file.
        wide: names of the parts whose activations have 16 bits.
        activation_bytes: what the activations of either file take of the arena, and what is handed over.
        noise: estimated noise power at the output, as a part of the signal's.
    """

    after: str
    first: str
    second: str
    wide: tuple[str, ...]
    activation_bytes: int
    noise: float


@dataclass(frozen=True)
class Proposal:
    """A mix of 8-bit and 16-bit activations.

    Attributes:
        limit_bytes: what the target has for the arena.
        reserve_bytes: what of it is kept for the interpreter itself.
        int8_activation_bytes, int16_activation_bytes: what activations take of the arena, all in 8 or in 16 bits.
        wide: names of the parts whose activations should have 16 bits, the most worthwhile first.
        left: names of those that should not, since they do not fit.
        activation_bytes: what they take with the proposal.
        before_noise, noise: estimated noise powers at the output with all in 8 bits, and with the proposal.
        split: the best split into two files; None where none fits or makes less noise.
    """

    limit_bytes: int
    reserve_bytes: int
    int8_activation_bytes: int
    int16_activation_bytes: int
    wide: tuple[str, ...]
    left: tuple[str, ...]
    activation_bytes: int
    before_noise: float
    noise: float
    split: Split | None

    @property
    def fits(self) -> bool:
        """Whether the proposal keeps within the limit: it does not where 8 bits are too many already."""
        return self.activation_bytes <= self.limit_bytes - self.reserve_bytes


def propose(
    costs: Sensitivity, live: LiveTensors, limit_bytes: int, reserve_bytes: int = INTERPRETER_BYTES
) -> Proposal:
    """Takes parts by the noise of their activations for each byte that 16 bits cost them, as long as all fit.

    Noise of 16-bit activations is taken for none, and that of parts as adding up.

    Args:
        costs: of the int8 twin.
        live: its tensors.
        limit_bytes: what the target has for the arena.
        reserve_bytes: what of it is kept for the interpreter itself.
    """
    room = limit_bytes - reserve_bytes
    noise = {row.part.name: row.activations_noise for row in costs.parts if row.activations_noise > 0.0}
    worth = {name: noise[name] / live.values_of(name) for name in live.parts() if name in noise}
    wide: list[str] = []
    narrow = live.planned_bytes()
    for name in sorted(worth, key=lambda name: -worth[name]) if narrow <= room else ():
        if live.planned_bytes([*wide, name]) <= room:
            wide.append(name)
    return Proposal(
        limit_bytes,
        reserve_bytes,
        narrow,
        live.planned_bytes(live.parts()),
        tuple(wide),
        tuple(name for name in worth if name not in wide),
        live.planned_bytes(wide),
        estimated_noise(costs),
        estimated_noise(costs, wide),
        _best_split(costs, live, room),
    )


def estimated_noise(costs: Sensitivity, wide: Collection[str] = ()) -> float:
    """Noise power at the output if the activations of some parts have 16 bits: the sum of what is left of each part."""
    return sum(max(row.cost.output_noise - row.activations_noise * (row.part.name in wide), 0.0) for row in costs.parts)


def _best_split(costs: Sensitivity, live: LiveTensors, room: int) -> Split | None:
    found = []
    for last in range(len(live.operators) - 1):
        crossing = [tensor for tensor in live.tensors if tensor.made <= last < tensor.read]
        if len(crossing) == 1:
            found += [_split(costs, live, last, crossing[0], first_wide) for first_wide in (True, False)]
    found = [split for split in found if split.activation_bytes <= room and split.noise < estimated_noise(costs)]
    return min(found, key=lambda split: (split.noise, split.activation_bytes), default=None)


def _split(costs: Sensitivity, live: LiveTensors, last: int, crossing: Tensor, first_wide: bool) -> Split:
    """One way to split; what is handed over has 8 bits, whichever file is the wide one."""
    both = live.parts()
    needed = (
        live.planned_bytes(both if first_wide else (), 0, last),
        live.planned_bytes(() if first_wide else both, last + 1),
    )
    made = [tensor.part for tensor in live.tensors if (tensor.made <= last) == first_wide]
    inside = tuple(part for part in dict.fromkeys(made) if part != crossing.part)
    schemes = ("int16x8", "int8") if first_wide else ("int8", "int16x8")
    total = max(needed) + crossing.values
    return Split(live.operators[last], *schemes, inside, total, estimated_noise(costs, inside))


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

    A tensor lives from the operator that makes it to the last one that reads it. What an interpreter needs for itself
    is not counted.

    Attributes:
        operators: names.
        tensors: all activations.
    """

    operators: list[str] = field(default_factory=list)
    tensors: list[Tensor] = field(default_factory=list)

    def planned_bytes(self, wide: Collection[str] = (), first: int = 0, last: int | None = None) -> int:
        """The bytes that TensorFlow Lite Micro's memory planner lays the tensors out in (see `arena_placement`).

        Args:
            wide: names of parts whose activations have 16 bits; the others have 8.
            first: number of the first operator to look at.
            last: number of the last one; None for that of all.
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
